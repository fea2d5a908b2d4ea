"""A server that answers each connection with a body of many records' length and closes it, over TCP and over a Unix
socket at once.

argv: the port, the path of the Unix socket.
"""

import socket
import sys
import threading

BODY = b"x" * 236_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY


def serve(family, address):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()
    while True:
        conn, _ = listener.accept()
        with conn:
            # Nothing is asked by whoever only looks whether somebody listens.
            if conn.recv(65536):
                conn.sendall(ANSWER)


threading.Thread(target=serve, args=(socket.AF_UNIX, sys.argv[2]), daemon=True).start()
serve(socket.AF_INET, ("127.0.0.1", int(sys.argv[1])))
