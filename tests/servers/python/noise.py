"""Everything that looks like traffic and is none: files, pipes, socket pairs, a TCP line protocol.

Runs until it is killed. HTTP text in a file or a pipe is no exchange; a socket that speaks something
else is no exchange either.
"""

import os
import socket
import tempfile
import threading
import time

REQUEST = b"GET /zq7canary HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
file = tempfile.TemporaryFile()
readable, writable = os.pipe()
here, there = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()


def lines():
    while data := server.recv(4096):
        server.sendall(b"+OK " + data)


threading.Thread(target=lines, daemon=True).start()
told = False
while True:
    os.write(file.fileno(), REQUEST + ANSWER)
    os.pread(file.fileno(), 64, 0)
    os.write(writable, REQUEST)
    os.read(readable, 4096)
    here.sendall(b"\x00\x01binary zq7canary\n" * 20)
    there.recv(4096)
    client.sendall(b"PING zq7canary\r\n")
    client.recv(4096)
    if not told:
        print("a round of noise is over", flush=True)
        told = True
    time.sleep(0.01)
