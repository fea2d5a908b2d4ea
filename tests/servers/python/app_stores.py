"""Two services that ask Redis, MariaDB and PostgreSQL for each request by their usual clients: `app_stores:app`, WSGI, with
redis-py, PyMySQL and psycopg's pool; `app_stores:loop`, FastAPI, with redis.asyncio and asyncpg.

REDIS, MARIADB and POSTGRES are their ports. `/connect` opens what `/ask/ID` uses. That sends each of them one question that
carries LENGTH + ID bytes, so that whose question is whose can be judged by its length. CANARY is in each.
"""

import os
import queue
import time

import flask
import pymysql
import redis
from psycopg_pool import ConnectionPool

LENGTH = 4096
POOL = 8
REDIS, MARIADB, POSTGRES = (int(os.environ[name]) for name in ("REDIS", "MARIADB", "POSTGRES"))
CANARY = os.environ["CANARY"]
PG = f"host=127.0.0.1 port={POSTGRES} user=postgres dbname=postgres sslmode=disable gssencmode=disable"

app = flask.Flask(__name__)
shared = {}


def payload(number):
    return f"{CANARY} ".ljust(LENGTH + number, "x")


def select(number):
    return f"SELECT 1 -- {payload(number)}"


def timed(work):
    """What the client has to wait."""
    before = time.monotonic_ns()
    work()
    return (time.monotonic_ns() - before) / 1e6


@app.get("/health")
def health():
    return {"ok": True}


@app.post("/connect")
def connect():
    pool = redis.BlockingConnectionPool(port=REDIS, max_connections=POOL, timeout=20)
    shared["redis"] = redis.Redis(connection_pool=pool)
    shared["redis"].ping()
    shared["mariadb"] = queue.SimpleQueue()
    for _ in range(POOL):
        shared["mariadb"].put(pymysql.connect(port=MARIADB, host="127.0.0.1", user="root", autocommit=True))
    shared["postgres"] = ConnectionPool(PG, min_size=POOL, max_size=POOL, kwargs={"autocommit": True})
    shared["postgres"].wait()
    return {"ok": True}


def ask_mariadb(statement):
    connection = shared["mariadb"].get()
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        shared["mariadb"].put(connection)


def ask_postgres(statement):
    with shared["postgres"].connection() as connection:
        return connection.execute(statement).fetchall()


@app.post("/ask/<int:number>")
def ask(number):
    assert len(shared["redis"].echo(payload(number))) == LENGTH + number
    assert ask_mariadb(select(number)) == ((1,),)
    assert ask_postgres(select(number)) == [(1,)]
    return {"ok": True}


@app.post("/slow")
def slow():
    """Each of them once, for 50 ms and longer, and what that took."""
    return {
        "redis": timed(lambda: shared["redis"].blpop(["nobody"], 0.05)),
        "mysql": timed(lambda: ask_mariadb("SELECT SLEEP(0.05)")),
        "postgresql": timed(lambda: ask_postgres("SELECT pg_sleep(0.05)")),
    }


@app.post("/transaction")
def transaction():
    with shared["postgres"].connection() as connection, connection.transaction():
        for _ in range(3):
            connection.execute("SELECT 1")
            time.sleep(0.03)
    return {"ok": True}


@app.post("/pipeline")
def pipeline():
    with shared["redis"].pipeline(transaction=False) as commands:
        for number in range(100):
            commands.echo(f"{CANARY} {number}")
        assert len(commands.execute()) == 100
    return {"ok": True}


@app.post("/batch")
def batch():
    """A hundred statements, none of which waits for the one before."""
    with shared["postgres"].connection() as connection, connection.pipeline():
        for number in range(100):
            connection.execute("SELECT %s", [f"{CANARY} {number}"])
    return {"ok": True}


@app.post("/listen")
def listen():
    """Twenty messages, each of which comes without a question."""
    with shared["redis"].pubsub() as channel:
        channel.subscribe("news")
        assert channel.get_message(timeout=5)["type"] == "subscribe"
        for _ in range(20):
            shared["redis"].publish("news", CANARY)
            while channel.get_message(timeout=5) is None:
                pass
    return {"ok": True}


@app.post("/gone")
def gone():
    """The server is not there any more."""
    try:
        shared["redis"].echo("anybody?")
    except redis.ConnectionError:
        return {"ok": True}
    raise AssertionError("it answers")


def on_a_loop():
    import asyncpg
    import fastapi
    import redis.asyncio

    loop = fastapi.FastAPI()

    @loop.get("/health")
    async def health():
        return {"ok": True}

    @loop.post("/connect")
    async def connect():
        pool = redis.asyncio.BlockingConnectionPool(port=REDIS, max_connections=POOL, timeout=20)
        shared["redis"] = redis.asyncio.Redis(connection_pool=pool)
        await shared["redis"].ping()
        shared["postgres"] = await asyncpg.create_pool(
            host="127.0.0.1",
            port=POSTGRES,
            user="postgres",
            database="postgres",
            ssl=False,
            min_size=POOL,
            max_size=POOL,
        )
        return {"ok": True}

    @loop.post("/ask/{number}")
    async def ask(number: int):
        assert len(await shared["redis"].echo(payload(number))) == LENGTH + number
        await shared["postgres"].execute(select(number))
        return {"ok": True}

    @loop.post("/batch")
    async def batch():
        rows = [(f"{CANARY} {number}",) for number in range(100)]
        async with shared["postgres"].acquire() as connection:
            await connection.executemany("SELECT $1::text", rows)
        return {"ok": True}

    return loop


loop = on_a_loop()
