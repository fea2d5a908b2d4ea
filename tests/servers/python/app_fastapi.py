"""The scripted model as a FastAPI app: `uvicorn app_fastapi:app`."""

import asyncio
import json
import os

import script
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, StreamingResponse

app = FastAPI()
if os.environ.get("GZIP"):
    app.add_middleware(GZipMiddleware, minimum_size=1)


@app.api_route("/health", methods=["GET", "HEAD"])
async def health(request: Request):
    script.Script(request.method, "/health").done()
    return JSONResponse({"ok": True}, headers={"X-Reply": script.WORD})


@app.get("/served")
async def served():
    return {"served": script.served}


@app.post("/small")
async def small(request: Request):
    script.served += 1
    await request.body()
    return {"id": "small", "ok": True}


@app.get("/nothing")
async def nothing(request: Request):
    script.Script(request.method, "/nothing").done(status=204)
    return Response(status_code=204)


@app.get("/unchanged")
async def unchanged(request: Request):
    script.Script(request.method, "/unchanged").done(status=304)
    return Response(status_code=304, headers={"ETag": '"1"'})


@app.post("/echo")
async def echo(request: Request):
    s = script.Script("POST", "/echo")
    body = await request.body()
    s.done()
    return {"length": len(body)}


@app.post("/v1/{rest:path}")
async def v1(request: Request):
    s = script.Script("POST", request.url.path)
    s.plan(json.loads(await request.body()))
    if s.status >= 400 or not s.stream:
        await asyncio.sleep(s.ttft)
        answer = JSONResponse(s.json(), status_code=s.status, headers={"X-Reply": script.WORD})
        s.done()
        return answer

    async def body():
        whole = False
        try:
            for wait, kind, data in s.events():
                if wait:
                    await asyncio.sleep(wait)
                s.saw(kind)
                yield data
            whole = True
        finally:
            s.done(whole)

    return StreamingResponse(body(), media_type="text/event-stream")
