"""`reuse.py HOST PORT COUNT`: that many HTTPS connections, one after the other, by one SSL object (`SSL_clear`)."""

import ctypes
import socket
import sys
import time

ssl = ctypes.CDLL("libssl.so.3")
# The agent needs some ten milliseconds to attach to a library that was just mapped.
time.sleep(0.3)
for name, result, arguments in [
    ("TLS_client_method", "p", ""),
    ("SSL_CTX_new", "p", "p"),
    ("SSL_new", "p", "p"),
    ("SSL_set_fd", "i", "pi"),
    ("SSL_connect", "i", "p"),
    ("SSL_write", "i", "psi"),
    ("SSL_read", "i", "ppi"),
    ("SSL_shutdown", "i", "p"),
    ("SSL_clear", "i", "p"),
]:
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int, "s": ctypes.c_char_p, "": None}
    function = getattr(ssl, name)
    function.restype, function.argtypes = kinds[result], [kinds[a] for a in arguments]

connection = ssl.SSL_new(ssl.SSL_CTX_new(ssl.TLS_client_method()))
for i in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as plain:
        if i:
            assert ssl.SSL_clear(connection) == 1
        assert ssl.SSL_set_fd(connection, plain.fileno()) == 1
        assert ssl.SSL_connect(connection) == 1
        request = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert ssl.SSL_write(connection, request, len(request)) == len(request)
        answer, buffer = b"", ctypes.create_string_buffer(65536)
        while (n := ssl.SSL_read(connection, buffer, len(buffer))) > 0:
            answer += buffer.raw[:n]
        assert answer.startswith(b"HTTP/1.1 200"), answer
        ssl.SSL_shutdown(connection)
