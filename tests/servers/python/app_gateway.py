"""A gateway: serves chat completions by asking another server for them. `uvicorn app_gateway:app`.

UPSTREAM names the server behind it, HTTP2 has it asked by HTTP/2. The model's name loses its prefix `gw-` on the way.
"""

import json
import os

import httpx
import script
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=30, http2="HTTP2" in os.environ)


@app.get("/health")
async def health():
    script.Script("GET", "/health").done()
    return {"ok": True}


@app.post("/v1/{rest:path}")
async def v1(rest: str, request: Request):
    body = json.loads(await request.body())
    body["model"] = body["model"].removeprefix("gw-")
    if not body.get("stream"):
        answer = await client.post("/v1/" + rest, json=body)
        data = answer.json()
        data["model"] = "gw-" + body["model"]
        return JSONResponse(data, status_code=answer.status_code)
    upstream = await client.send(client.build_request("POST", "/v1/" + rest, json=body), stream=True)

    async def pass_on():
        async for line in upstream.aiter_lines():
            yield line.replace('"model": "', '"model": "gw-') + "\n"
        await upstream.aclose()

    return StreamingResponse(pass_on(), media_type="text/event-stream")
