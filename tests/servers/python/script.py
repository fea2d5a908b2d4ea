"""The scripted model behind the Python apps.

A request says what shall happen (`x_tokens`, `x_ttft_ms`, ...); `Script` turns it into the JSON or
the events of an OpenAI-shaped server, and writes what the handler itself saw, on its own clock, as
one JSON line to the file that TRUTH_FILE names. The text of every token is the word in WORD, which
tests look for where it must not be.
"""

import json
import os
import time
import uuid

WORD = "zq7canary"
_fd = os.open(os.environ.get("TRUTH_FILE", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
served = 0


class Script:
    """One request: its plan, and its truth."""

    def __init__(self, method, path, body=None):
        global served
        served += 1
        self.started = time.monotonic_ns()
        self.wall = time.time_ns()
        self.method, self.path = method, path
        self.first = None
        self.times = []
        self.status = 200
        self.sent = 0
        self.logged = False
        self.stream = False
        self.llm = False
        self.usage_sent = False
        self.body = {}
        if body is not None:
            self.plan(body)

    def plan(self, body):
        """The request's JSON has been read."""
        self.body = b = body
        self.llm = True
        self.model = b.get("model", "scripted")
        self.stream = bool(b.get("stream"))
        self.tokens = int(b.get("x_tokens", 5))
        self.prompt_tokens = int(b.get("x_prompt_tokens", 7))
        self.ttft = float(b.get("x_ttft_ms", 0)) / 1000
        self.interval = float(b.get("x_interval_ms", 0)) / 1000
        self.status = int(b.get("x_status", 200))
        self.pad = int(b.get("x_pad", 0))
        options = b.get("stream_options") or {}
        self.with_usage = bool(b.get("x_usage", options.get("include_usage", not self.stream)))
        kind = self.path.rsplit("/v1/", 1)[-1]
        self.kind = {"chat/completions": "chat", "completions": "text", "embeddings": "embeddings", "responses": "responses"}.get(kind, "chat")
        prefix = {"chat": "chatcmpl-", "text": "cmpl-", "embeddings": "emb-", "responses": "resp_"}[self.kind]
        self.id = prefix + uuid.uuid4().hex
        return self

    def word(self, i):
        return f"{WORD}{i} " + "p" * self.pad

    def usage(self):
        self.usage_sent = self.kind != "embeddings"
        a, b = self.prompt_tokens, self.tokens
        if self.kind == "responses":
            return {"input_tokens": a, "output_tokens": b, "total_tokens": a + b}
        if self.kind == "embeddings":
            return {"prompt_tokens": a, "total_tokens": a}
        return {"prompt_tokens": a, "completion_tokens": b, "total_tokens": a + b}

    def error(self):
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": f"scripted {WORD}", "type": kind, "param": None, "code": "scripted"}}

    def json(self):
        """The answer of a call that does not stream."""
        if self.status >= 400:
            return self.error()
        text = "".join(self.word(i) for i in range(self.tokens))
        base = {"id": self.id, "created": 1700000000, "model": self.model}
        if self.kind == "chat":
            base |= {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
        elif self.kind == "text":
            base |= {"object": "text_completion", "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}]}
        elif self.kind == "embeddings":
            base = {"object": "list", "model": self.model, "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]}
        else:
            base |= {"object": "response", "created_at": 1700000000, "status": "completed", "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]}]}
        if self.with_usage:
            base["usage"] = self.usage()
        return base

    def events(self):
        """(seconds to wait, kind, bytes) of each event of a stream; `kind` is for `saw`."""
        if self.kind == "responses":
            yield from self._responses()
            return
        text = self.kind == "text"
        base = {"id": self.id, "object": "text_completion" if text else "chat.completion.chunk", "created": 1700000000, "model": self.model}

        def chunk(choice, **more):
            choices = [] if choice is None else [{"index": 0, "finish_reason": None} | choice]
            return b"data: " + json.dumps(base | {"choices": choices} | more).encode() + b"\n\n"

        if not text:
            yield 0, "role", chunk({"delta": {"role": "assistant", "content": ""}})
        for i in range(self.tokens):
            word = self.word(i)
            yield (self.interval if i else self.ttft), "content", chunk({"text": word} if text else {"delta": {"content": word}})
        yield 0, "finish", chunk({"text": "", "finish_reason": "length"} if text else {"delta": {}, "finish_reason": "length"})
        if self.with_usage:
            yield 0, "usage", chunk(None, usage=self.usage())
        yield 0, "done", b"data: [DONE]\n\n"

    def _responses(self):
        def event(name, data):
            return f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode()

        state = {"id": self.id, "object": "response", "created_at": 1700000000, "model": self.model, "status": "in_progress", "output": []}
        yield 0, "role", event("response.created", {"sequence_number": 0, "response": state})
        for i in range(self.tokens):
            delta = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": i + 1, "delta": self.word(i)}
            yield (self.interval if i else self.ttft), "content", event("response.output_text.delta", delta)
        usage = self.usage() if self.with_usage else None
        yield 0, "usage", event("response.completed", {"sequence_number": self.tokens + 1, "response": state | {"status": "completed", "usage": usage}})

    def saw(self, kind):
        """The handler is about to hand this event to its framework."""
        if kind == "content":
            now = time.monotonic_ns()
            self.first = self.first or now
            self.sent += 1
            if self.body.get("x_log_chunks"):
                self.times.append(now - self.started)

    def done(self, whole=True, status=None):
        """The handler is at its end. Writes the line, once."""
        if self.logged:
            return
        self.logged = True
        line = {"method": self.method, "path": self.path, "status": status or self.status, "pid": os.getpid(),
                "start_wall_ns": self.wall, "duration_ns": time.monotonic_ns() - self.started, "llm": self.llm, "stream": self.stream, "whole": whole}
        if self.llm:
            line |= {"model": self.model, "kind": self.kind}
            if self.status < 400:
                line |= {"id": None if self.kind == "embeddings" else self.id, "prompt_tokens": self.prompt_tokens, "tokens": self.sent if self.stream else self.tokens,
                         "usage": self.usage_sent, "ttft_ns": self.first and self.first - self.started, "chunks_ns": self.times}
        os.write(_fd, json.dumps(line).encode() + b"\n")
