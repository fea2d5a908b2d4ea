"""A server that reads and seldom answers, and clients that want its watcher's memory: heads that are never
complete, small and large, and uploads that are compressed and never end. One honest request before and one behind
them. The clients are a process of their own, which is watched too: everything is seen from both ends.
"""

import os
import resource
import selectors
import socket
import zlib

SMALL_HEADS, LARGE_HEADS, UPLOADS = 5000, 1000, 2000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(listener, until):
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(until, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj == until:
                return
            if key.fileobj is listener:
                conn, _ = listener.accept()
                selector.register(conn, selectors.EVENT_READ)
                continue
            got = key.fileobj.recv(65536)
            if not got:
                selector.unregister(key.fileobj)
                key.fileobj.close()
            elif got.startswith(b"GET /honest"):
                key.fileobj.sendall(ANSWER)


def honest(address, name):
    with socket.create_connection(address) as conn:
        conn.sendall(b"GET /honest/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
        assert conn.recv(4096) == ANSWER


def ask(address):
    held = []

    def send(data):
        conn = socket.create_connection(address)
        conn.sendall(data)
        held.append(conn)

    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    gzip = zlib.compressobj(9, zlib.DEFLATED, 31)
    prompt = b'{"model":"m","messages":[{"role":"user","content":"' + b"hello world " * 20000
    body = gzip.compress(prompt) + gzip.flush(zlib.Z_SYNC_FLUSH)
    fields = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 999999\r\n\r\n"
    honest(address, b"before")
    for _ in range(SMALL_HEADS):
        send(head + b"X-A: " + b"x" * 2000)
    for _ in range(LARGE_HEADS):
        send(head + b"X-A: " + b"x" * 60000)
    for _ in range(UPLOADS):
        send(head + fields + body)
    honest(address, b"behind")


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
address = listener.getsockname()
# Readable, as ended, when the clients are gone.
until, done = os.pipe()
if os.fork() == 0:
    listener.close()
    try:
        ask(address)
    finally:
        os._exit(0)
os.close(done)
serve(listener, until)
print("served")
