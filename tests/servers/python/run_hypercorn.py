"""APP (else app_fastapi) on hypercorn: `run_hypercorn.py HOST PORT`, over HTTPS with TLS_CERT and TLS_KEY, HTTP/2 with HTTP2."""

import asyncio
import importlib
import os
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

app = importlib.import_module(os.environ.get("APP", "app_fastapi")).app
config = Config()
config.bind = [f"{sys.argv[1]}:{sys.argv[2]}"]
config.certfile, config.keyfile = os.environ.get("TLS_CERT"), os.environ.get("TLS_KEY")
config.alpn_protocols = ["h2", "http/1.1"] if os.environ.get("HTTP2") else ["http/1.1"]
asyncio.run(serve(app, config))
