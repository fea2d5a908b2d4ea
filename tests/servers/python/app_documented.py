"""Documented responses as a FastAPI app: each file of the dialects' goldens, by its path.

Behind a path that several files have, the one whose request asks for a stream as this one does
answers. Events are sent one by one, STEP apart, as a model would make them. What was served is told
as one JSON line to the file that TRUTH_FILE names.
"""

import asyncio
import json
import os
import pathlib
import time

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

STEP = float(os.environ.get("STEP", "0.02"))
app = FastAPI()
_fd = os.open(os.environ.get("TRUTH_FILE", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def load():
    found = {}
    for file in sorted(pathlib.Path(os.environ["GOLDENS"]).glob("*/*.http")):
        if "error" in file.stem:
            continue  # Clients raise what they are told; their calls are of answers.
        text = file.read_bytes().decode()
        request, response = text.split("\n=====\n", 1)
        path = request.split("\n", 1)[0].split(" ", 1)[1]
        head, body = response.split("\n\n", 1)
        status, *fields = head.split("\n")
        fields = dict(f.split(": ", 1) for f in fields)
        kind = fields.pop("content-type", "")
        if "eventstream" in kind:
            continue
        found.setdefault(path, []).append((int(status), kind, fields, body, any(s in request for s in ('"stream": true', 'name="stream"')) or "stream" in path))
    return found


DOCUMENTED = load()


def pieces(kind, body):
    """One for each event."""
    if "event-stream" in kind:
        end = "\r\n\r\n" if "\r\n\r\n" in body else "\n\n"
        return [e + end for e in body.split(end) if e]
    if "ndjson" in kind or "stream+json" in kind:
        return body.splitlines(keepends=True)
    if body.startswith("[{\n"):
        return [e + "\n,\r\n" for e in body.split("\n,\r\n")[:-1]] + [body.split("\n,\r\n")[-1]]
    return [body]


def typed(kind):
    return {"content-type": kind} if kind else {}


def tell(request, status, began, wall):
    line = {"method": request.method, "path": request.url.path, "status": status, "pid": os.getpid(), "start_wall_ns": wall,
            "duration_ns": time.monotonic_ns() - began, "llm": False, "stream": False, "whole": True}
    os.write(_fd, (json.dumps(line) + "\n").encode())


@app.get("/health")
async def health(request: Request):
    tell(request, 200, time.monotonic_ns(), time.time_ns())
    return JSONResponse({"ok": True})


@app.post("/{path:path}")
async def documented(request: Request, path: str):
    began, wall = time.monotonic_ns(), time.time_ns()
    body = await request.body()
    compact = body.replace(b" ", b"")
    stream = b'"stream":true' in compact or b'name="stream"' in compact and b"\r\ntrue\r\n" in body or "stream" in path
    # Google's client calls either version.
    beta = "/" + path.replace("v1/", "v1beta/", 1)
    known = [d for d in DOCUMENTED.get("/" + path) or DOCUMENTED.get(beta, []) if d[0] == 200]
    if not known:
        tell(request, 404, began, wall)
        return JSONResponse({"detail": "not documented"}, status_code=404)
    # Ollama streams unless it is told not to: its files say so by their type.
    fitting = [d for d in known if d[4] == stream] or known
    if request.query_params.get("alt") == "sse":
        fitting = [d for d in fitting if "event-stream" in d[1]]
    status, kind, fields, text, _ = fitting[0]
    parts = pieces(kind, text)

    async def events():
        for i, part in enumerate(parts):
            if i:
                await asyncio.sleep(STEP)
            yield part.encode()
        tell(request, status, began, wall)

    if len(parts) == 1:
        tell(request, status, began, wall)
        return Response(text, status_code=status, media_type=None, headers={**typed(kind), **fields})
    return StreamingResponse(events(), status_code=status, headers={**typed(kind), **fields})
