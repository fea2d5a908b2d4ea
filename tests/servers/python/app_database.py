"""A service that asks PostgreSQL for each request, by libpq: WSGI, for servers whose threads serve one request at a time.

DATABASE is how it connects. `/connect/N` opens N connections, which all threads share from then on. `/ask/ID` sends one statement
of LENGTH + ID bytes on one of them, so that whose statement is whose can be judged by its length. CANARY is in each.
"""

import ctypes
import ctypes.util
import os
import queue

from flask import Flask

LENGTH = 4096

pq = ctypes.CDLL(ctypes.util.find_library("pq"))
pq.PQconnectdb.restype = ctypes.c_void_p
pq.PQconnectdb.argtypes = [ctypes.c_char_p]
pq.PQstatus.argtypes = [ctypes.c_void_p]
pq.PQexec.restype = ctypes.c_void_p
pq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
pq.PQgetvalue.restype = ctypes.c_char_p
pq.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
pq.PQclear.argtypes = [ctypes.c_void_p]

app = Flask(__name__)
pool = queue.SimpleQueue()


def answer(connection, number):
    value = f"{os.environ['CANARY']} {number}"
    statement = f"SELECT '{value}' -- ".ljust(LENGTH + number, "x")
    result = pq.PQexec(connection, statement.encode())
    try:
        assert pq.PQgetvalue(result, 0, 0).decode() == value
    finally:
        pq.PQclear(result)


@app.get("/health")
def health():
    return {"ok": True}


@app.post("/connect/<int:count>")
def connect(count):
    for _ in range(count):
        connection = pq.PQconnectdb(os.environ["DATABASE"].encode())
        assert pq.PQstatus(connection) == 0
        pool.put(connection)
    return {"ok": True}


@app.post("/ask/<int:number>")
def ask(number):
    connection = pool.get()
    try:
        answer(connection, number)
    finally:
        pool.put(connection)
    return {"ok": True}
