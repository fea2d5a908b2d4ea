"""`resume.py PORT CA COUNT`: HTTPS connections, each but the first resumed, by TLS 1.2 and by 1.3."""

import socket
import ssl
import sys

resumed = 0
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.minimum_version = context.maximum_version = version
    session = None
    for _ in range(int(sys.argv[3])):
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while connection.recv(65536):
                    pass
                resumed += connection.session_reused
                session = connection.session
print(resumed)
