"""Has the conversations of realtime.py over WebSockets on streams of one HTTP/2 connection (RFC 8441): by h2 and wsproto.

Usage: realtime_h2.py BASE_URL [CA]. Prints what realtime.py prints, and the status of each handshake.
"""

import json
import os
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import client_extensions_handshake

URL = urlsplit(sys.argv[1])
CA = sys.argv[2] if len(sys.argv) > 2 else None


def tell(**line):
    print(json.dumps(line), flush=True)


class Wire:
    """One HTTP/2 connection."""

    def __init__(self):
        self.tcp = socket.create_connection((URL.hostname, URL.port))
        if CA:
            context = ssl.create_default_context(cafile=CA)
            context.set_alpn_protocols(["h2"])
            self.tcp = context.wrap_socket(self.tcp, server_hostname=URL.hostname)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams, self.connect = {}, False
        while not self.connect:
            self.pump()

    def pump(self):
        self.flush()
        data = self.tcp.recv(65536)
        assert data, "the server closed"
        for event in self.h2.receive_data(data):
            if isinstance(event, RemoteSettingsChanged):
                change = event.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
                self.connect |= change is not None and change.new_value == 1
            elif isinstance(event, ResponseReceived):
                self.streams[event.stream_id].answer(dict(event.headers))
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.streams[event.stream_id].take(event.data)
            elif isinstance(event, (StreamEnded, StreamReset)):
                self.streams[event.stream_id].ended = True
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.tcp.sendall(data)


class Socket:
    """A WebSocket on a stream of it."""

    def __init__(self, wire, path, query="", compress=False):
        self.wire, self.path, self.headers, self.ended = wire, path, None, False
        self.sent, self.received, self.got, self.code, self.pongs = 0, 0, [], None, 0
        self.extensions = extensions = [PerMessageDeflate()] if compress else []
        self.stream = wire.h2.get_next_available_stream_id()
        wire.streams[self.stream] = self
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", URL.scheme), (":path", path + query),
                  (":authority", URL.netloc), ("sec-websocket-version", "13"), ("authorization", "Bearer zq7canary")]
        fields += [("sec-websocket-extensions", f"{e.name}; {e.offer()}".rstrip("; ")) for e in extensions]
        wire.h2.send_headers(self.stream, fields)
        while self.headers is None:
            wire.pump()

    def answer(self, headers):
        accepted = headers.get("sec-websocket-extensions")
        assert bool(accepted) == bool(self.extensions), headers
        agreed = client_extensions_handshake([accepted] if accepted else [], self.extensions)
        self.headers, self.ws = headers, Connection(ConnectionType.CLIENT, agreed)

    def write(self, event):
        data = self.ws.send(event)
        while data:
            room = min(self.wire.h2.local_flow_control_window(self.stream), self.wire.h2.max_outbound_frame_size)
            if room:
                self.wire.h2.send_data(self.stream, data[:room])
                data = data[room:]
                self.wire.flush()
            else:
                self.wire.pump()

    def send(self, data):
        self.sent += 1
        self.write(Message(data=data))

    def take(self, data):
        self.ws.receive_data(data)
        for event in self.ws.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                if not self.got or self.got[-1][1]:
                    self.got.append(["" if isinstance(event, TextMessage) else b"", False])
                self.got[-1] = [self.got[-1][0] + event.data, event.message_finished]
            elif isinstance(event, Pong):
                self.pongs += 1
            elif isinstance(event, CloseConnection):
                self.code = event.code

    def recv(self):
        while not self.got or not self.got[0][1]:
            self.wire.pump()
        self.received += 1
        return self.got.pop(0)[0]

    def close(self, code, size=None):
        # No END_STREAM behind it: hypercorn 0.18 forgets a stream with its Close, and drops the connection then.
        self.write(CloseConnection(code=code))
        while self.code is None:
            self.wire.pump()
        tell(socket=self.path, sent=self.sent, received=self.received, bytes=size, code=code, status=int(self.headers[":status"]))


def realtime(wire):
    connection = Socket(wire, "/v1/realtime", "?model=gpt-realtime")
    event = lambda: json.loads(connection.recv())
    send = lambda **message: connection.send(json.dumps(message))
    assert event()["type"] == "session.created"
    for metadata in ({"tokens": "9"}, {"tokens": "3", "status": "failed"}, {"tokens": "12"}, None):
        asked, first = time.monotonic_ns(), None
        if metadata:
            send(type="response.create", response={"metadata": metadata, "instructions": "zq7canary " * 200})
        else:
            # The server takes the turn by itself.
            send(type="input_audio_buffer.commit")
        while (e := event())["type"] != "response.done":
            first = first or (time.monotonic_ns() if e["type"].endswith(".delta") else None)
        r = e["response"]
        handler = (r["metadata"] or {}).get("handler_first_ms")
        usage = r["usage"]
        tell(id=r["id"], status=r["status"], input=usage["input_tokens"], output=usage["output_tokens"],
             cached=usage["input_token_details"]["cached_tokens"], asked=metadata is not None,
             handler_ms=float(handler) if handler else None, first_ms=(first - asked) / 1e6)
    connection.close(1000)


def echo(wire, compress):
    connection = Socket(wire, "/echo", compress=compress)
    sizes = [1, 5, 125, 126, 300, 65535, 65536, 200_000]
    for size in sizes:
        for message in ("x" * size, os.urandom(size)):
            connection.send(message)
            assert connection.recv() == message
    connection.write(Ping(payload=b"zq7canary"))
    while not connection.pongs:
        wire.pump()
    connection.close(4001, None if compress else 2 * sum(sizes))


wire = Wire()
realtime(wire)
echo(wire, True)
echo(wire, False)
wire.h2.close_connection()
wire.flush()
wire.tcp.close()
