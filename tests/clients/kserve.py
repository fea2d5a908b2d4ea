"""Calls KServe's inference service with Triton's own client, and prints what it saw.

Usage: kserve.py HOST:PORT [wait]. With `wait` it makes a few calls, prints `joined`, and goes on once a
line comes in: whoever attaches then has missed the connection's beginning.
"""

import json
import queue
import sys
import time

import numpy
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])


def tensor(length=1):
    value = triton.InferInput("in", [1], "BYTES")
    value.set_data_from_numpy(numpy.array([b"zq7canary" * length], dtype=object))
    return value


def tell(method, **more):
    print(json.dumps({"method": method, **more}), flush=True)


def infer(model, version="", id="", **how):
    try:
        # What is short is not compressed.
        result = client.infer(model, [tensor(1000 if how else 1)], model_version=version, request_id=id, **how).get_response()
        tell("ModelInfer", model=result.model_name, version=result.model_version, id=result.id or None, status="OK", compressed=bool(how))
    except triton.InferenceServerException as error:
        tell("ModelInfer", status=error.status().removeprefix("StatusCode."))


def stream(requests, model="texts"):
    answers = queue.Queue()
    began = time.monotonic()
    client.start_stream(lambda result, error: answers.put((time.monotonic(), result, error)))
    for i in range(requests):
        client.async_stream_infer(model, [tensor()], request_id=f"s-{i}")
    seen = [answers.get(timeout=30) for _ in range(5 * requests)]
    client.stop_stream()
    assert not any(error for _, _, error in seen)
    last = seen[-1][1].get_response()
    tell("ModelStreamInfer", model=last.model_name, version=last.model_version, id=last.id, status="OK",
         answers=len(seen), requests=requests, first_ms=(seen[0][0] - began) * 1e3)


if sys.argv[2:] == ["wait"]:
    for i in range(3):
        client.infer("tiny", [tensor()], request_id=f"r-{i}", model_version="7")
    print("joined", flush=True)
    sys.stdin.readline()
else:
    assert client.is_server_live()
for i in range(3):
    infer("tiny", "7", f"r-{i}")
infer("tiny")
for how in ("gzip", "deflate"):
    infer("tiny", "7", f"r-{how}", compression_algorithm=how)
infer("absent")
infer("broken")
stream(1)
stream(3)
client.close()
