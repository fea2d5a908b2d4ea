"""A kubelet as far as `/pods` goes: HTTPS, a bearer token, and a list that the test writes.

kubelet.py PORT CERT KEY TOKEN LIST. LIST is read for each answer; while it is missing the answer is 503.
"""

import http.server
import ssl
import sys

PORT, CERT, KEY, TOKEN, LIST = sys.argv[1:6]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, body = self.answer()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, b"Unauthorized"
        if self.path != "/pods":
            return 404, b"404 page not found\n"
        try:
            with open(LIST, "rb") as file:
                return 200, file.read()
        except OSError:
            return 503, b""

    def address_string(self):
        return "x"

    def log_message(self, *args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERT, KEY)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
