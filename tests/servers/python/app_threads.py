"""A service that asks a model for each request: WSGI, for servers whose threads serve one request at a time.

UPSTREAM names the model's server. `/ask/ID` asks `/v1/ID/chat/completions`, so that whose call is whose can be judged.
POOLED: the calls share a client that keeps its connections. BY_CHILD: each is made by a program that the handler starts.
TRACED: each request begins a trace, whose `traceparent` its call carries.
"""

import os
import subprocess
import urllib.request
import uuid

import httpx
from flask import Flask

UPSTREAM = os.environ["UPSTREAM"]
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
HEADERS = {"content-type": "application/json"}

app = Flask(__name__)
client = httpx.Client(timeout=30)


def asked(number):
    url = f"{UPSTREAM}/v1/{number}/chat/completions"
    if "BY_CHILD" in os.environ:
        program = ["curl", "-sS", "--data-binary", BODY, "-H", "content-type: application/json", url]
        return subprocess.run(program, check=True, capture_output=True).stdout
    if "POOLED" in os.environ:
        headers = dict(HEADERS)
        if "TRACED" in os.environ:
            headers["traceparent"] = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
        return client.post(url, content=BODY, headers=headers).content
    return urllib.request.urlopen(urllib.request.Request(url, data=BODY, headers=HEADERS)).read()


@app.get("/health")
def health():
    return {"ok": True}


@app.post("/ask/<int:number>")
def ask(number):
    return asked(number), 200, {"content-type": "application/json"}
