"""A generator in a script: the request lasts until its last token."""

import sys
import time

import cirron as ci


@ci.inference(config={"stream_chunk_timing": True})
def generate(prompt):
    with ci.scope("preprocess"):
        tokens = prompt.split()
    for index, token in enumerate(tokens):
        with ci.scope("decode", index=index):
            time.sleep(0.002)
        yield token


print("ready", flush=True)
for line in sys.stdin:
    print(" ".join(generate(line)), flush=True)
