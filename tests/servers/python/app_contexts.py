"""Handlers that call for themselves in each way that an event loop knows: `uvicorn app_contexts:app`, or this file with a port:
aiohttp's own server. The number in the path is that of each call."""

import asyncio
import contextvars
import os
import sys
import time

import aiohttp
import httpx

UPSTREAM = os.environ["UPSTREAM"]
BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
shared = {}


def url(number):
    return f"{UPSTREAM}/v1/{number}/chat/completions"


def pool():
    if "httpx" not in shared:
        shared["httpx"] = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100))
    return shared["httpx"]


async def hx(number):
    return (await pool().post(url(number), json=BODY)).content


async def ai(number):
    if "aiohttp" not in shared:
        shared["aiohttp"] = aiohttp.ClientSession()
    async with shared["aiohttp"].post(url(number), json=BODY) as answer:
        return await answer.read()


async def gather(number):
    return (await asyncio.gather(hx(number), ai(number), hx(number)))[0]


def sync(number):
    return httpx.post(url(number), json=BODY, timeout=60).content


async def to_thread(number):
    return await asyncio.to_thread(sync, number)


async def executor(number):
    return await asyncio.get_running_loop().run_in_executor(None, sync, number)


async def worker(number):
    """One worker, which the first request makes, calls for all."""
    if "queue" not in shared:
        shared["queue"] = asyncio.Queue()
        shared["worker"] = asyncio.create_task(work(shared["queue"]))
    done = asyncio.get_running_loop().create_future()
    await shared["queue"].put((number, done))
    return await done


async def work(queue):
    while True:
        number, done = await queue.get()
        done.set_result(await hx(number))


def context_ns(rounds=300, each=100):
    """What it takes to make a context and to free it, ns: the least of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for _ in range(each):
            contextvars.copy_context()
        took.append((time.perf_counter_ns() - began) / each)
    return min(took)


WAYS = {f.__name__: f for f in (hx, ai, gather, to_thread, executor, worker)}


def fast():
    from fastapi import BackgroundTasks, FastAPI, Response
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.post("/stream/{number}")
    async def stream(number: int):
        async def pieces():
            for _ in range(2):
                yield await hx(number)

        return StreamingResponse(pieces())

    @app.post("/sync/{number}")
    def in_pool(number: int):
        return Response(sync(number))

    @app.post("/background/{number}")
    async def background(number: int, tasks: BackgroundTasks):
        tasks.add_task(hx, number)
        return Response("later")

    @app.get("/price")
    async def price():
        return Response(str(context_ns()))

    @app.post("/{way}/{number}")
    async def ask(way: str, number: int):
        return Response(await WAYS[way](number))

    return app


def own(port):
    from aiohttp import web

    async def ask(request):
        way, number = request.match_info["way"], int(request.match_info["number"])
        return web.Response(body=await WAYS[way](number))

    app = web.Application()
    app.router.add_post("/{way}/{number}", ask)
    loop = None
    if "UVLOOP" in os.environ:
        import uvloop

        loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, print=None, loop=loop)


if __name__ == "__main__":
    own(int(sys.argv[1]))
else:
    app = fast()
