"""Handlers of FastAPI: coroutines of many requests have their turns on one thread."""

import asyncio

from fastapi import FastAPI, Request

import cirron as ci

app = FastAPI()


@app.post("/predict/{number}")
@ci.inference
async def predict(number: int, request: Request):
    with ci.scope("preprocess", number=number):
        await asyncio.sleep(0)
        text = (await request.json())["text"]
    with ci.scope("model", number=number):
        await asyncio.sleep(0.005)
        with ci.scope("forward", number=number):
            await embed(number)
        ci.mark("tokens", len(text.split()) + number)
    with ci.scope("postprocess", number=number):
        return {"label": "long" if len(text) > 20 else "short"}


async def embed(number):
    for which in range(2):
        with ci.scope("embed", index=which, number=number):
            await asyncio.sleep(0.001)
            ci.mark("norm", number + which / 2)


@app.get("/warm/{port}")
async def warm(port: int):
    """Calls this server, as one does that a client has asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /warm HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()


@app.get("/warm")
async def warmed():
    return "warm"
