"""A receiver of OTLP made of the official protobufs and grpcio: gRPC and HTTP/protobuf.

otlp_receiver.py GRPC_PORT HTTP_PORT OUT [--busy N] [--tls CERTIFICATE KEY [CLIENT_CA]]

Each request that is taken becomes a line of OUT: {"via": "grpc" | "http", "signal": ..., "gzip": ..., "headers": ...,
"body": the message by protobuf's own JSON mapping}. With --busy the first N requests of each way are answered with
UNAVAILABLE, or 503 and `Retry-After: 0`, and are not taken. With --tls both speak TLS, and with CLIENT_CA ask who calls.
A POST to /api/traces, which is no OTLP, is taken as a batch of Cirron's: {"signal": "batch", "body": its JSON}.
"""

import gzip
import json
import ssl
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

GRPC_PORT, HTTP_PORT, OUT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
MORE = sys.argv[4:]
BUSY = int(MORE[MORE.index("--busy") + 1]) if "--busy" in MORE else 0
TLS = MORE[MORE.index("--tls") + 1 :] if "--tls" in MORE else []

lock = threading.Lock()
out = open(OUT, "a", encoding="utf-8")
left = {"grpc": BUSY, "http": BUSY}


def is_busy(via):
    with lock:
        left[via] -= 1
        return left[via] >= 0


def take(via, signal, message, headers):
    line = {"via": via, "signal": signal, "headers": headers, "body": MessageToDict(message)}
    with lock:
        out.write(json.dumps(line) + "\n")
        out.flush()


def called(signal, answer):
    def export(self, request, context):
        if is_busy("grpc"):
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        take("grpc", signal, request, dict(context.invocation_metadata()))
        return answer()

    return export


class Traces(traces_grpc.TraceServiceServicer):
    Export = called("traces", traces.ExportTraceServiceResponse)


class Metrics(metrics_grpc.MetricsServiceServicer):
    Export = called("metrics", metrics.ExportMetricsServiceResponse)


class Posted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kinds = {
        "/v1/traces": ("traces", traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
        "/v1/metrics": ("metrics", metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    }

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if is_busy("http"):
            self.answer(503, b"")
            return
        if self.path == "/api/traces":
            with lock:
                out.write(json.dumps({"via": "http", "signal": "batch", "body": json.loads(body)}) + "\n")
                out.flush()
            self.answer(200, b"{}")
            return
        signal, kind, answer = self.kinds[self.path]
        assert self.headers["Content-Type"] == "application/x-protobuf"
        headers = {name.lower(): value for name, value in self.headers.items()}
        take("http", signal, kind.FromString(body), headers)
        self.answer(200, answer().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = grpc.server(futures.ThreadPoolExecutor(4))
traces_grpc.add_TraceServiceServicer_to_server(Traces(), server)
metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
web = ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Posted)
if TLS:
    certificate, key, *client_ca = TLS
    pair = [(open(key, "rb").read(), open(certificate, "rb").read())]
    roots = open(client_ca[0], "rb").read() if client_ca else None
    credentials = grpc.ssl_server_credentials(pair, roots, require_client_auth=bool(client_ca))
    assert server.add_secure_port(f"127.0.0.1:{GRPC_PORT}", credentials) == GRPC_PORT
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca[0])
    # The handshake is the connection's thread's, so that one that fails is no end of the server.
    web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
else:
    assert server.add_insecure_port(f"127.0.0.1:{GRPC_PORT}") == GRPC_PORT
server.start()
web.serve_forever()
