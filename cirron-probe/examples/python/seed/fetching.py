"""Coroutines that fetch from another server, several at once."""

import asyncio
import sys
from urllib.parse import urlsplit

import cirron as ci


async def fetch(url):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.hostname}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n\r\n", 1)[1]


@ci.inference
async def predict(url):
    with ci.scope("fetch", path=urlsplit(url).path):
        body = await fetch(url)
        ci.mark("bytes", len(body))
    with ci.scope("model"):
        await asyncio.sleep(0.003)
    return len(body)


async def both(url):
    return await asyncio.gather(predict(url + "/a"), predict(url + "/b"))


print("ready", flush=True)
for line in sys.stdin:
    print(*asyncio.run(both(line.strip())), flush=True)
