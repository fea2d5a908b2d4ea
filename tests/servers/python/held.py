"""A server and a client in one process, without any library: bytes that the kernel holds back, and requests that
wait for a read. Prints, as JSON, a row for each exchange in order: what the client saw, in ms behind the read of
the request, and for how long the request had waited for that read.

argv: the canary that stands in every prompt and completion.
"""

import json
import socket
import sys
import threading
import time

CANARY = sys.argv[1]
TCP_NODELAY, TCP_CORK, TCP_QUICKACK = 1, 3, 12
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
EVENT = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"%s"}}]}\n\n'
TOKEN = EVENT % CANARY.encode()
DONE = b"data: [DONE]\n\n"
BODY = json.dumps({"model": "m", "stream": True, "messages": [CANARY]}).encode()
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC) * 1e3


def read(conn):
    got = b""
    while not got.endswith(REQUEST):
        got += conn.recv(65536)
    return now()


def stream(conn, flags=0, last_flags=0, comment=b""):
    """Four writes with 30 ms between them."""
    body = [HEAD % (len(comment) + 2 * len(TOKEN) + len(DONE)) + comment, TOKEN, TOKEN]
    for part in body:
        conn.sendall(part, flags)
        time.sleep(0.03)
    conn.sendall(DONE, last_flags)


def plain(conn):
    stream(conn)


def more(conn):
    stream(conn, socket.MSG_MORE)


def timer(conn):
    stream(conn, socket.MSG_MORE, socket.MSG_MORE)


def timer_then_call(conn):
    """The kernel's timer lets the first go, not the call that follows."""
    conn.sendall(HEAD % (2 * len(TOKEN) + len(DONE)) + TOKEN, socket.MSG_MORE)
    time.sleep(0.4)
    conn.sendall(TOKEN + DONE)


def ack_then_call(conn):
    """The head's acknowledgement, which is late, lets the first token go, not the call that follows."""
    conn.sendall(HEAD % (2 * len(TOKEN) + len(DONE)))
    conn.sendall(TOKEN, socket.MSG_MORE)
    time.sleep(0.15)
    conn.sendall(TOKEN + DONE)


def cork(conn):
    conn.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
    stream(conn)
    time.sleep(0.03)
    conn.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 0)


def cork_by_close(conn):
    conn.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
    stream(conn)
    time.sleep(0.03)
    conn.close()


def window(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    stream(conn, comment=b":" + b"x" * 300000 + b"\n\n")


def accept(listener):
    conn, _ = listener.accept()
    conn.setsockopt(socket.IPPROTO_TCP, TCP_NODELAY, 1)
    return conn


def exchange(client, answer, before_reading=0.0, conn=None, listener=None):
    """One exchange of `client`, whose other end is `conn` or comes out of `listener`."""
    row = {}

    def serve():
        time.sleep(before_reading)
        mine = conn or accept(listener)
        row["conn"] = mine
        row["read"] = read(mine)
        answer(mine)

    if answer is ack_then_call:
        client.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 0)
    sent = now()
    client.sendall(REQUEST)
    thread = threading.Thread(target=serve)
    thread.start()
    got = b""
    if answer is window:
        time.sleep(0.3)
    while not got.endswith(DONE):
        part = client.recv(1 << 20)
        at = now()
        if not got:
            row["first_byte"] = at
        if TOKEN in got + part and "first_token" not in row:
            row["first_token"] = at
            # What follows is acknowledged before the server's call returns.
            client.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 1)
        got += part
    row["end"] = at
    thread.join()
    begin = row["read"]
    ROWS.append({"name": answer.__name__, "waited": begin - sent} | {k: row[k] - begin for k in ("first_byte", "first_token", "end")})
    return row["conn"]


ROWS = []


def connection(listener, window_bytes=None):
    client = socket.socket()
    if window_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
    client.setsockopt(socket.IPPROTO_TCP, TCP_NODELAY, 1)
    client.connect(listener.getsockname())
    return client


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    # What waits before the accept waits as well.
    client = connection(listener)
    conn = exchange(client, plain, 0.06, listener=listener)
    answers = [(plain, 0.02), (plain, 0.0), (more, 0.0), (cork, 0.08), (timer, 0.0)]
    for answer, waits in [*answers, (timer_then_call, 0.0), (ack_then_call, 0.0)]:
        exchange(client, answer, waits, conn=conn)
        time.sleep(0.1)
    exchange(client, cork_by_close, 0.0, conn=conn)
    client = connection(listener, 4096)
    exchange(client, window, 0.0, listener=listener)
    print(json.dumps(ROWS), flush=True)


main()
