"""Connects to wss://.../echo again and again by websockets' blocking client, and says how often that hung.

Usage: wss_connects.py WSS_URL CA SECONDS [1.2]. One process; several at once hang more often. See docs/tls.md.
"""

import multiprocessing
import ssl
import sys
import time

URL, CA, SECONDS, VERSION = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
# One takes some milliseconds.
HUNG_S = 6


def connects(done):
    from websockets.sync.client import connect

    context = ssl.create_default_context(cafile=CA)
    if VERSION:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    while True:
        with connect(URL, compression=None, ssl=context) as socket:
            socket.send("hello")
            assert socket.recv() == "hello"
        done.value += 1


def main():
    done, hung, end = multiprocessing.Value("q", 0, lock=False), 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        child = multiprocessing.Process(target=connects, args=(done,), daemon=True)
        child.start()
        seen, since = -1, time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < HUNG_S:
            if done.value != seen:
                seen, since = done.value, time.monotonic()
            time.sleep(0.1)
        hung += time.monotonic() - since >= HUNG_S
        child.kill()
    print(f"{done.value} connections, {hung} hung")


main()
