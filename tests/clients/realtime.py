"""Has conversations over WebSocket, by openai's own client and by websockets, and prints what each saw.

Usage: realtime.py BASE_URL [CA]. One JSON line for each response and, with "socket", for each connection.
"""

import json
import os
import ssl
import sys
import time

BASE = sys.argv[1]
CA = sys.argv[2] if len(sys.argv) > 2 else None
CONTEXT = ssl.create_default_context(cafile=CA) if CA else None
if CONTEXT:
    # websockets reads in one thread and writes in another, on one SSL object, which OpenSSL forbids: where a
    # write meets the session tickets of TLS 1.3, it hangs, with nobody watching. See docs/tls.md.
    CONTEXT.maximum_version = ssl.TLSVersion.TLSv1_2
WS = BASE.replace("http", "ws", 1)


def tell(**line):
    print(json.dumps(line), flush=True)


def responses(connection, asked, count):
    """Reads until this number of responses is done."""
    done, first, deltas, received = 0, None, 0, 0
    while done < count:
        event = connection.recv()
        received += 1
        if event.type.endswith(".delta"):
            first = first or time.monotonic_ns()
            deltas += 1
        if event.type == "response.done":
            done += 1
            r = event.response
            handler = (r.metadata or {}).get("handler_first_ms")
            tell(id=r.id, status=r.status, input=r.usage.input_tokens, output=r.usage.output_tokens, cached=r.usage.input_token_details.cached_tokens,
                 deltas=deltas, asked=asked is not None, handler_ms=float(handler) if handler else None,
                 first_ms=(first - asked) / 1e6 if first and asked else None)
            first, deltas = None, 0
    return received


def realtime():
    from openai import OpenAI

    client = OpenAI(api_key="zq7canary", base_url=BASE + "/v1", websocket_base_url=WS + "/v1")
    options = {"ssl": CONTEXT} if CONTEXT else {}
    with client.realtime.connect(model="gpt-realtime", websocket_connection_options=options) as connection:
        connection.recv()
        sent, received = 0, 1
        for metadata in ({"tokens": "9"}, {"tokens": "3", "status": "failed"}, {"tokens": "12"}):
            asked = time.monotonic_ns()
            connection.send({"type": "response.create", "response": {"metadata": metadata, "instructions": "zq7canary " * 200}})
            sent += 1
            received += responses(connection, asked, 1)
        # The server takes the turn by itself.
        connection.send({"type": "input_audio_buffer.commit"})
        sent += 1
        received += responses(connection, None, 1)
    tell(socket="/v1/realtime", sent=sent, received=received, code=1000)


def echo(compression):
    from websockets.sync.client import connect

    with connect(WS + "/echo", compression=compression, ssl=CONTEXT) as socket:
        sizes = [1, 5, 125, 126, 300, 65535, 65536, 200_000]
        for size in sizes:
            socket.send("x" * size)
            assert len(socket.recv()) == size
            noise = os.urandom(size)
            socket.send(noise)
            assert socket.recv() == noise
        socket.ping().wait()
        fragments = ["zq7", "canary", "!"]
        socket.send(fragments)
        assert socket.recv() == "".join(fragments)
        plain = 2 * sum(sizes) + len("".join(fragments)) if compression is None else None
        socket.close(4001, "bye")
    tell(socket="/echo", sent=2 * len(sizes) + 1, received=2 * len(sizes) + 1, bytes=plain, code=4001)


realtime()
echo(None)
echo("deflate")
