"""Records HTTP/2 between programs of others and a library's end point, for `cirron-core/interop`.

Usage: record_h2.py OUT_DIR GO_PROGRAM [NAME...], with GO_PROGRAM built of ../servers/go and NODE on the
path. Python's h2 is one end, on sockets whose bytes are kept; the other is a client (nghttp, h2load,
curl, Go, Node, httpx) or a server (Go, Node, nginx) that knows nothing of it. A recording is one JSON
file: for each connection its bytes in order, and for each side what the library says of each stream:
header lists, body, end, reset. `cirron-core/src/proto/h2/tests/interop.rs` reads them. Everything in
them is made up here.
"""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

HERE = pathlib.Path(__file__).parent
OUT, GO, WANTED = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
CERT, KEY = HERE / "../servers/tls/cert.pem", HERE / "../servers/tls/key.pem"
BODY = '{"model":"m","stream":true,"messages":[],"x_tokens":2}'


class End:
    """One end of a connection: h2 on a socket, and a record of both."""

    def __init__(self, sock, client_side):
        self.sock, self.client_side = sock, client_side
        self.chunks = []
        self.said = {"client": {}, "server": {}}
        self.me, self.peer = ("client", "server") if client_side else ("server", "client")
        config = h2.config.H2Configuration(client_side=client_side, header_encoding=None, validate_inbound_headers=False,
                                           normalize_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()

    def stream(self, side, number):
        return self.said[side].setdefault(str(number), {"lists": [], "body": "", "end": False, "reset": None})

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.chunks.append([self.me, data.hex()])
            self.sock.sendall(data)

    def receive(self):
        """The next events, none at the end."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return None
        if not data:
            return None
        self.chunks.append([self.peer, data.hex()])
        events = self.h2.receive_data(data)
        for event in events:
            self.note(event)
        self.flush()
        return events

    def note(self, event):
        heads = (h2.events.RequestReceived, h2.events.ResponseReceived, h2.events.InformationalResponseReceived, h2.events.TrailersReceived)
        if isinstance(event, heads):
            pairs = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in event.headers]
            self.stream(self.peer, event.stream_id)["lists"].append(pairs)
        elif isinstance(event, h2.events.DataReceived):
            self.stream(self.peer, event.stream_id)["body"] += event.data.decode("latin-1")
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.stream(self.peer, event.stream_id)["end"] = True
        elif isinstance(event, h2.events.StreamReset):
            self.stream(self.peer, event.stream_id)["reset"] = int(event.error_code)

    # What is sent is noted as it is sent.

    def headers(self, number, pairs, end=False):
        self.stream(self.me, number)["lists"].append([list(p) for p in pairs])
        self.stream(self.me, number)["end"] |= end
        self.h2.send_headers(number, pairs, end_stream=end)

    def data(self, number, text, end=False, pad=None):
        self.stream(self.me, number)["body"] += text
        self.stream(self.me, number)["end"] |= end
        self.h2.send_data(number, text.encode(), end_stream=end, pad_length=pad)

    def reset(self, number):
        self.stream(self.me, number)["reset"] = 8
        self.h2.reset_stream(number, 8)

    def record(self):
        return {"chunks": self.chunks, **self.said}


def answers(end):
    """Serves until the client leaves. Streams that were asked for together are answered in turns."""
    served = 0
    while (events := end.receive()) is not None:
        asked = [e.stream_id for e in events if isinstance(e, h2.events.StreamEnded)]
        for i, number in enumerate(asked):
            if i % 3 == 2:
                end.headers(number, [(":status", "103"), ("link", "</a>; rel=preload")])
            pairs = [(":status", "200"), ("content-type", "text/event-stream"), ("x-same", "always the same"), ("x-n", str(number))]
            end.headers(number, pairs + [("set-cookie", f"a{number}=b"), ("set-cookie", "c=d")])
        for part in range(3):
            for i, number in enumerate(asked):
                last, pad = part == 2, 9 * i if i % 2 else None
                delta = {"content": f"{number}.{part}"}
                text = "data: [DONE]\n\n" if last else "data: " + json.dumps({"id": f"c{number}", "choices": [{"index": 0, "delta": delta}]}) + "\n\n"
                if last and number % 4 == 3:
                    end.data(number, text, pad=pad)
                    end.headers(number, [("grpc-status", "0"), ("x-n", str(number))], end=True)
                else:
                    end.data(number, text, last, pad)
            end.flush()
        # The client's tables shrink and grow again: it has to say so.
        if asked:
            served += 1
            end.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: (256, 0, 4096)[served % 3]})
            end.flush()
    end.sock.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def client(command, tls=False, env=None, stdin=None):
    """Runs a client against `answers`; `command` is made of the server's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends, threads = [], []

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(CERT, KEY)
                context.set_alpn_protocols(["h2"])
                sock = context.wrap_socket(sock, server_side=True)
            sock.settimeout(5)
            end = End(sock, client_side=False)
            end.flush()
            ends.append(end)
            threads.append(threading.Thread(target=answers, args=(end,)))
            threads[-1].start()

    threading.Thread(target=accept, daemon=True).start()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    subprocess.run(command(url), check=True, env={**os.environ, **(env or {})}, input=stdin, stdout=subprocess.DEVNULL, timeout=30)
    time.sleep(0.2)
    listener.close()
    for thread in threads:
        thread.join()
    return ends


def server(command, env=None, gives_up=True):
    """Asks a server, by two rounds of streams that are asked for together."""
    port = free_port()
    process = subprocess.Popen(command(port), env={**os.environ, **(env or {})})
    try:
        for _ in range(100):
            time.sleep(0.05)
            try:
                sock = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                pass
        sock.settimeout(5)
        end = End(sock, client_side=True)
        number = 1
        for size in (256, 4096, 0):
            end.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
            wanted = set()
            for i in range(3):
                path = "/v1/chat/completions" if i else "/health"
                pairs = [(":method", "POST" if i else "GET"), (":scheme", "http"), (":path", f"{path}?q={number}"), (":authority", f"127.0.0.1:{port}")]
                end.headers(number, pairs + [("accept", "*/*"), ("x-same", "always the same"), ("x-n", str(number))], end=not i)
                if i:
                    end.data(number, BODY[:20], pad=7)
                    end.data(number, BODY[20:], True)
                wanted.add(number)
                number += 2
            end.flush()
            while wanted and (events := end.receive()) is not None:
                wanted -= {e.stream_id for e in events if isinstance(e, h2.events.StreamEnded)}
        if gives_up:
            # After its beginning, with nothing on the way.
            slow = BODY.replace("{", '{"x_ttft_ms":400,', 1)
            end.headers(number, [(":method", "POST"), (":scheme", "http"), (":path", "/v1/chat/completions"), (":authority", "a.test")])
            end.data(number, slow, True)
            end.flush()
            end.sock.settimeout(0.15)
            while end.receive() is not None:
                pass
            end.reset(number)
            end.flush()
        end.sock.settimeout(0.3)
        while end.receive() is not None:
            pass
        end.sock.close()
        return [end]
    finally:
        process.terminate()
        process.wait()


def nginx(port):
    """nginx in a folder of its own."""
    at = tempfile.mkdtemp()
    config = pathlib.Path(at) / "nginx.conf"
    page = 'default_type text/event-stream; add_header x-same "always the same" always; add_header x-n $arg_q always; return 200 "data: $arg_q\\n\\n";'
    temporary = " ".join(f"{kind}_temp_path {at}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(f"daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log off; {temporary}\n"
                      f" server {{ listen 127.0.0.1:{port} http2; location / {{ {page} }} }} }}\n")
    return ["nginx", "-p", at, "-c", str(config)]


def main():
    body = tempfile.NamedTemporaryFile("w", suffix=".json")
    body.write(BODY)
    body.flush()
    kind = ["-H", "content-type: application/json"]
    one = {"op": "chat", "model": "m", "stream": True}

    def plan(long, calls):
        def command(url):
            file = pathlib.Path(tempfile.mkdtemp()) / "plan.json"
            file.write_text(json.dumps({"base_url": url + "/v1", "calls": [one] * calls, "long": long}))
            return ["node", HERE / "node/http2.js", file]

        return command

    httpx = "import httpx, sys\nwith httpx.Client(http2=True, http1=False) as c:\n  for i in range(5): c.post(sys.argv[1] + f'/v1/x?q={i}', json={'n': i}, cookies={'a': str(i), 'b': 'c'}, headers={'x-same': 'always the same'})"
    again = [f"/v1/{i}?q={i}" for i in range(4)]
    recordings = {
        "nghttp": lambda: client(lambda url: ["nghttp", "-n", "--padding=200", "-m", "2", "-d", body.name, *kind, *(url + p for p in again[:3])]),
        "nghttp-continuation": lambda: client(lambda url: ["nghttp", "-n", "--padding=100", "--continuation", "--header-table-size=512", url + "/a"]),
        "h2load": lambda: client(lambda url: ["h2load", "-n", "12", "-c", "1", "-m", "4", "--header-table-size=128", "-d", body.name, *kind, url + "/v1/x"]),
        "curl": lambda: client(lambda url: ["curl", "-sS", "--cacert", CERT, *kind, "-H", "Cookie: a=b; c=d", "-d", BODY, *(url + p for p in again)], tls=True),
        "go": lambda: client(lambda url: [GO, "client", url + "/v1/x?q=1"], env={"HTTP2": "1"}),
        "node": lambda: client(plan(0, 5)),
        "node-continuation": lambda: client(plan(2000, 1)),
        "httpx": lambda: client(lambda url: [sys.executable, "-c", httpx, url]),
        "go-server": lambda: server(lambda port: [GO, f"127.0.0.1:{port}"], {"HTTP2": "1"}),
        "node-server": lambda: server(lambda port: ["node", HERE / "../servers/node/server.js", "127.0.0.1", str(port)], {"HTTP2": "1"}),
        "nginx-server": lambda: server(nginx, gives_up=False),
    }
    for name in WANTED or recordings:
        ends = [end for end in recordings[name]() if end.said["client"]]
        file = OUT / f"{name}.json"
        file.write_text(json.dumps([end.record() for end in ends], indent=1) + "\n")
        sizes = [sum(len(c[1]) // 2 for c in end.chunks if c[0] == side) for end in ends for side in ("client", "server")]
        print(name, sizes, [len(end.said[side]) for end in ends for side in ("client", "server")])


main()
