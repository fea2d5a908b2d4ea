"""A stream whose events are all written in one turn of asyncio, by the standard library alone. From Python 3.12 on
asyncio keeps each write as a buffer of its own, and sends as many of them in one call as the kernel takes.

argv: port, events, the canary that stands in each.
"""

import asyncio
import sys

PORT, EVENTS, CANARY = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
EVENT = 'data: {"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (CANARY + "x" * 400)
USAGE = 'data: {"object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n' % EVENTS


async def serve(reader, writer):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        # Somebody who looked whether anything listens here.
        writer.close()
        return
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    writer.write(HEAD)
    for _ in range(EVENTS):
        writer.write(EVENT.encode())
    writer.write(USAGE.encode())
    writer.write(b"data: [DONE]\n\n")
    writer.close()
    await writer.wait_closed()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    await server.serve_forever()


asyncio.run(main())
