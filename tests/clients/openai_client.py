"""Drives a server with the openai library.

Reads {"base_url", "concurrency", "calls": [...]} from the file named first (or stdin), makes the calls in
order, at most `concurrency` at a time, and prints one JSON list with what the client saw. A call:
{"op": "chat" | "completion" | "embeddings" | "responses", "model", "stream", "extra": {...}}.
"""

import asyncio
import json
import sys
import time

import openai

WORD = "zq7canary"


async def one(client, call):
    op, stream, model = call["op"], call.get("stream", False), call.get("model", "scripted")
    seen = {"op": op, "status": 200, "chunks": 0, "id": None, "model": model}
    extra = {"extra_body": call.get("extra", {}), "extra_query": {"q": WORD}, "extra_headers": {"X-Ask": WORD}}
    began = time.monotonic()
    try:
        if op == "chat":
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": WORD}], stream=stream, **extra)
        elif op == "completion":
            answer = client.completions.create(model=model, prompt=WORD, stream=stream, **extra)
        elif op == "embeddings":
            answer = client.embeddings.create(model=model, input=WORD, encoding_format="float", **extra)
        else:
            answer = client.responses.create(model=model, input=WORD, stream=stream, **extra)
        answer = await answer
        if not stream:
            seen["id"] = getattr(answer, "id", None)
            return seen
        async for event in answer:
            if op == "responses":
                text = event.delta if event.type == "response.output_text.delta" else None
                seen["id"] = event.response.id if hasattr(event, "response") else seen["id"]
            else:
                seen["id"] = event.id
                choice = event.choices[0] if event.choices else None
                text = choice and (choice.text if op == "completion" else choice.delta.content)
            if text:
                seen["chunks"] += 1
                seen.setdefault("first_ms", (time.monotonic() - began) * 1000)
    except openai.APIStatusError as error:
        seen["status"] = error.status_code
    except (openai.APIError, Exception) as error:
        seen["status"] = None
        seen["error"] = type(error).__name__
    return seen


async def main():
    plan = json.load(open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin)
    gate = asyncio.Semaphore(plan.get("concurrency", 1))
    # One connection for all, if it is HTTP/2; over plain TCP by prior knowledge.
    http2 = {}
    if plan.get("http2"):
        plain = plan["base_url"].startswith("http:")
        http2["http_client"] = openai.DefaultAsyncHttpxClient(http2=True, http1=not plain)
    async with openai.AsyncOpenAI(base_url=plan["base_url"], api_key=WORD, max_retries=0, timeout=60, **http2) as client:

        async def gated(call):
            async with gate:
                return await one(client, call)

        if plan.get("concurrency", 1) == 1:
            seen = [await gated(call) for call in plan["calls"]]
        else:
            seen = await asyncio.gather(*[gated(call) for call in plan["calls"]])
    print(json.dumps(seen))


asyncio.run(main())
