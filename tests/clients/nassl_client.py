"""`nassl_client.py BASE_URL CA GO PLAN MODULE`: makes the calls of PLAN (JSON bodies, one a line) by nassl, each on a connection of
its own, once the file GO is there. MODULE: `modern` has OpenSSL 1.1 inside, `legacy` OpenSSL 1.0, both on memory BIOs."""

import os
import socket
import sys
import time
import urllib.parse

from nassl._nassl import OpenSSLError, WantReadError
from nassl.legacy_ssl_client import LegacySslClient
from nassl.ssl_client import OpenSslVerifyEnum, OpenSslVersionEnum, SslClient

base, _, go, plan, module = sys.argv[1:]
url = urllib.parse.urlsplit(base)
while not os.path.exists(go):
    time.sleep(0.01)
for body in open(plan, "rb"):
    plain = socket.create_connection((url.hostname, url.port))
    client = {"modern": SslClient, "legacy": LegacySslClient}[module](
        ssl_version=OpenSslVersionEnum.TLSV1_2, underlying_socket=plain, ssl_verify=OpenSslVerifyEnum.NONE
    )
    client.do_handshake()
    head = f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client.write(head.encode() + body)
    answer = b""
    try:
        while True:
            answer += client.read(65536)
            # It gives one record for each time that it has received: there may be more.
            try:
                while True:
                    answer += client._ssl.read(65536)
            except WantReadError:
                pass
    except (OSError, OpenSSLError):
        # The server has closed.
        pass
    assert answer.startswith(b"HTTP/1.1 200"), answer
    client.shutdown()
    plain.close()
