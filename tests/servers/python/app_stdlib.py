"""The scripted model on the standard library's own server: `python app_stdlib.py HOST PORT`, HTTPS with TLS_CERT and TLS_KEY.
`python app_stdlib.py PATH` has a process for each connection, on a Unix socket.

Needs nothing but Python 3.9 or later, so that it runs in a root directory that has no packages.
"""

import http.server
import json
import os
import socket
import socketserver
import ssl
import sys
import time

import script


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        # What it writes is judged by when it wrote it: the kernel shall not hold it back (held.py is for that).
        self.disable_nagle_algorithm = self.request.family != socket.AF_UNIX
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Reply", script.WORD)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        script.Script("GET", self.path.partition("?")[0]).done()
        self.answer(200, b'{"ok": true}')

    def do_POST(self):
        s = script.Script("POST", self.path.partition("?")[0])
        s.plan(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if s.status >= 400 or not s.stream:
            time.sleep(s.ttft)
            body = json.dumps(s.json()).encode()
            s.done()
            self.answer(s.status, body)
            return
        whole = False
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for wait, kind, data in s.events():
                if wait:
                    time.sleep(wait)
                s.saw(kind)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
            whole = True
        finally:
            s.done(whole)


class Server(http.server.ThreadingHTTPServer):
    # Each connection shakes hands in its own thread: a slow client keeps nobody waiting.
    def get_request(self):
        connection, address = self.socket.accept()
        if "TLS_CERT" in os.environ:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


class ForkingServer(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    pass


if len(sys.argv) == 2:
    ForkingServer(sys.argv[1], Handler).serve_forever()
if "TLS_CERT" in os.environ:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
