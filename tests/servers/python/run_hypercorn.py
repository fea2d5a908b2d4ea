"""app_fastapi on hypercorn over HTTPS, HTTP/1 only: `run_hypercorn.py HOST PORT`, TLS_CERT, TLS_KEY."""

import asyncio
import os
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

from app_fastapi import app

config = Config()
config.bind = [f"{sys.argv[1]}:{sys.argv[2]}"]
config.certfile, config.keyfile = os.environ["TLS_CERT"], os.environ["TLS_KEY"]
config.alpn_protocols = ["http/1.1"]
asyncio.run(serve(app, config))
