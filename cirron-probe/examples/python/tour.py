"""Requests with nested scopes and marks: a plain function, a coroutine, a generator.

The first argument is the module: ``cirron_probe``, or the SDK's ``cirron``, for which it is a drop-in.
"""

import asyncio
import importlib
import sys

ci = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "cirron_probe")


@ci.inference
def predict(rows):
    with ci.scope("preprocess", index=0, rows=rows):
        ci.mark("bytes", 42)
    with ci.scope("model"):
        with ci.scope("decode", temperature=0.5, cached=True):
            ci.mark("loss", 0.25, kind="point", step=3)
        ci.mark("finish", "stop", kind="summary")
    return {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}


@ci.inference(config={"stream_chunk_timing": True})
def stream(tokens):
    with ci.scope("preprocess"):
        pass
    for i in range(tokens):
        with ci.scope("step", index=i):
            token = f"token {i}"
        yield token


@ci.inference
async def fetch_and_predict(name):
    with ci.scope("fetch", name_of=name):
        await asyncio.sleep(0.001)
        ci.mark("fetched", name)
    with ci.scope("model"):
        await asyncio.sleep(0.001)
    return name


@ci.inference
def failing():
    with ci.scope("breaks"):
        raise ValueError("on purpose")


async def many():
    await asyncio.gather(*(fetch_and_predict(f"task {i}") for i in range(4)))


def main():
    predict(3)
    list(stream(3))
    asyncio.run(many())
    try:
        failing()
    except ValueError:
        pass
    with ci.scope("alone"):
        ci.mark("here", True)


if __name__ == "__main__":
    if hasattr(ci, "profile"):
        ci.profile(output="spool")
    main()
    if hasattr(ci, "shutdown"):
        ci.shutdown()
