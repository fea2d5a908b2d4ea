"""`app_threads.py` on an event loop, where a thread says nothing: `uvicorn app_loop:app`."""

import os

import httpx
from fastapi import FastAPI, Response

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=30)


@app.post("/ask/{number}")
async def ask(number: int):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    answer = await client.post(f"/v1/{number}/chat/completions", json=body)
    return Response(answer.content, media_type="application/json")
