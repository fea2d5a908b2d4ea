"""The scripted model on aiohttp's own server: `python app_aiohttp.py HOST PORT`."""

import asyncio
import os
import ssl
import sys

import script
from aiohttp import web


async def health(request):
    script.Script(request.method, "/health").done()
    return web.json_response({"ok": True}, headers={"X-Reply": script.WORD})


async def file(request):
    script.Script(request.method, "/file").done()
    return web.FileResponse(os.environ["SEND_FILE"])


async def v1(request):
    s = script.Script("POST", request.path)
    s.plan(await request.json())
    if s.status >= 400 or not s.stream:
        await asyncio.sleep(s.ttft)
        answer = web.json_response(s.json(), status=s.status, headers={"X-Reply": script.WORD})
        if s.body.get("x_compress"):
            answer.enable_compression(web.ContentCoding(s.body["x_compress"]))
        s.done()
        return answer
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    if s.body.get("x_compress"):
        answer.enable_compression(web.ContentCoding(s.body["x_compress"]))
    whole = False
    try:
        await answer.prepare(request)
        for wait, kind, data in s.events():
            if wait:
                await asyncio.sleep(wait)
            s.saw(kind)
            await answer.write(data)
        await answer.write_eof()
        whole = True
    finally:
        s.done(whole)
    return answer


app = web.Application(client_max_size=1 << 26)
app.router.add_get("/health", health)
app.router.add_get("/file", file)
app.router.add_post("/v1/{rest:.*}", v1)
if __name__ == "__main__":
    context = None
    if "TLS_CERT" in os.environ:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None, ssl_context=context)
