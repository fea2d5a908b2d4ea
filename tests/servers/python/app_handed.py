"""A service whose connections one process accepts and others serve: `app_handed.py PORT WAY`

UPSTREAM names the model's server. `/ask/ID` asks `/v1/ID/chat/completions`, so that whose call is whose can be judged.
WAY: `passed`, a worker is given each connection by SCM_RIGHTS before anything was read; `midway`, when the request was read;
`forked`, a child is made for each connection.
"""

import os
import signal
import socket
import sys
import urllib.request

UPSTREAM = os.environ["UPSTREAM"]
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
HEADERS = {"content-type": "application/json"}
WORKERS = 4


def read(connection):
    """The number in the path of a request, once that has come whole."""
    data = b""
    while not data.endswith(b"\r\n\r\n{}"):
        piece = connection.recv(4096)
        if not piece:
            return None
        data += piece
    return data.split(b" ")[1].split(b"/")[2].decode()


def answer(connection, number):
    url = f"{UPSTREAM}/v1/{number}/chat/completions"
    body = urllib.request.urlopen(urllib.request.Request(url, data=BODY, headers=HEADERS)).read()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)


def serve(connection):
    with connection:
        number = read(connection)
        if number:
            answer(connection, number)


def work(given):
    while True:
        number, files, _, _ = socket.recv_fds(given, 64, 1)
        connection = socket.socket(fileno=files[0])
        if number == b"-":
            serve(connection)
        else:
            with connection:
                answer(connection, number.decode())


def workers():
    pipes = []
    for _ in range(WORKERS):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.fork() == 0:
            ours.close()
            work(theirs)
        theirs.close()
        pipes.append(ours)
    return pipes


way = sys.argv[2]
pipes = workers() if way != "forked" else []
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
accepted = 0
while True:
    connection, _ = listener.accept()
    if way == "forked":
        if os.fork() == 0:
            listener.close()
            serve(connection)
            os._exit(0)
        connection.close()
        continue
    with connection:
        number = "-" if way == "passed" else read(connection)
        if number:
            socket.send_fds(pipes[accepted % WORKERS], [number.encode()], [connection.fileno()])
    accepted += 1
