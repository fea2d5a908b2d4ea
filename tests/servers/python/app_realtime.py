"""OpenAI's Realtime events as a FastAPI app, as its reference documents them; and an echo of messages.

`/v1/realtime`: each `response.create` gives a response of `tokens` deltas, STEP apart; `input_audio_buffer.commit`
one that nobody asked for, as the server's turn detection makes it. What the handler did is in `metadata` of the
response, as the reference allows. `/echo` sends back what it gets.
"""

import asyncio
import json
import os
import time

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

STEP = 0.02
app = FastAPI()
_fd = os.open(os.environ.get("TRUTH_FILE", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


@app.get("/health")
async def health(request: Request):
    line = {"method": "GET", "path": "/health", "status": 200, "pid": os.getpid(), "start_wall_ns": time.time_ns(),
            "duration_ns": 1, "llm": False, "stream": False, "whole": True}
    os.write(_fd, (json.dumps(line) + "\n").encode())
    return JSONResponse({"ok": True})


class Session:
    def __init__(self, socket, model):
        self.socket, self.model, self.events, self.responses = socket, model, 0, 0

    async def send(self, kind, **members):
        self.events += 1
        await self.socket.send_text(json.dumps({"type": kind, "event_id": f"event_{self.events}", **members}))

    async def respond(self, began, tokens, status):
        self.responses += 1
        rid = f"resp_{id(self)}_{self.responses}"
        response = {"object": "realtime.response", "id": rid, "status": "in_progress", "status_details": None, "output": [],
                    "metadata": None, "usage": None, "output_modalities": ["text"]}
        await self.send("response.created", response=response)
        await self.send("response.output_item.added", response_id=rid, output_index=0,
                        item={"id": "item_1", "object": "realtime.item", "type": "message", "status": "in_progress", "role": "assistant", "content": []})
        first = None
        for n in range(tokens):
            await asyncio.sleep(STEP)
            first = first or time.monotonic_ns()
            await self.send("response.output_text.delta", response_id=rid, item_id="item_1", output_index=0, content_index=0, delta=f"zq7canary{n} ")
        details = {"cached_tokens": 3, "text_tokens": 17, "audio_tokens": 0}
        usage = {"total_tokens": 17 + tokens, "input_tokens": 17, "output_tokens": tokens, "input_token_details": details,
                 "output_token_details": {"text_tokens": tokens, "audio_tokens": 0}}
        metadata = {"handler_first_ms": str((first - began) / 1e6)} if first else {}
        fault = {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}} if status == "failed" else None
        await self.send("response.done", response={**response, "status": status, "status_details": fault, "usage": usage, "metadata": metadata})


@app.websocket("/v1/realtime")
async def realtime(socket: WebSocket, model: str = ""):
    await socket.accept()
    session = Session(socket, model)
    await session.send("session.created", session={"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": model})
    try:
        while True:
            event = json.loads(await socket.receive_text())
            began = time.monotonic_ns()
            if event["type"] == "response.create":
                asked = event.get("response", {}).get("metadata", {})
                await session.respond(began, int(asked.get("tokens", "5")), asked.get("status", "completed"))
            elif event["type"] == "input_audio_buffer.commit":
                await session.send("input_audio_buffer.committed", previous_item_id=None, item_id="item_9")
                await session.respond(began, 4, "completed")
    except WebSocketDisconnect:
        pass


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass
