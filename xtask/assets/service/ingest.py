"""Takes what is shipped: prints its port, then a line for each batch."""
import http.server


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("batch", self.headers["authorization"], flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ingest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(ingest.server_port, flush=True)
ingest.serve_forever()
