"""gRPC over TLS by grpcio, whose TLS library is inside of its module, without symbols: a server, or a client of it.

Usage: grpc_tls.py serve PORT CERT KEY
       grpc_tls.py call PORT CERT CALLS: prints a JSON line for each call.
"""

import json
import sys
import time
from concurrent import futures

import grpc

METHOD = "/test.Echo/Stream"


def answers(request, _):
    for n in range(3):
        time.sleep(0.01)
        yield request * (n + 1)


def serve(port, cert, key):
    handler = grpc.unary_stream_rpc_method_handler(answers)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Stream": handler}),))
    read = lambda path: open(path, "rb").read()
    credentials = grpc.ssl_server_credentials([(read(key), read(cert))])
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    server.wait_for_termination()


def call(port, cert, calls):
    credentials = grpc.ssl_channel_credentials(open(cert, "rb").read())
    options = [("grpc.ssl_target_name_override", "localhost")]
    for n in range(calls):
        # A connection for each: `use_local_subchannel_pool` keeps channels apart.
        apart = options + [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials, apart) as channel:
            stream = channel.unary_stream(METHOD)
            got = [len(answer) for answer in stream(b"x" * (100 + n))]
            print(json.dumps({"sent": 100 + n, "got": got}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        call(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
