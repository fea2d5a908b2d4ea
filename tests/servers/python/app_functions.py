"""FastAPI, whose handlers call a library's functions: a coroutine and its sub-tasks, and one in the pool of threads."""

import asyncio
import ctypes
import os

from fastapi import FastAPI

lib = ctypes.CDLL(os.environ["LIBRARY"])
app = FastAPI()


@app.get("/coroutine/{n}")
async def coroutine(n: int):
    await asyncio.sleep(0.005)
    lib.outer(n)

    async def sub():
        await asyncio.sleep(0.002)
        lib.work(n)

    await asyncio.gather(sub(), sub())
    await asyncio.sleep(0.005)
    return {"n": n}


@app.get("/thread/{n}")
def thread(n: int):
    lib.outer(n)
    return {"n": n}
