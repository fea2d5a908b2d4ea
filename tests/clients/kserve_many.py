"""Calls KServe's inference service on twenty connections of its own, ten times each.

Usage: kserve_many.py HOST:PORT. A call on each connection goes ahead; then it prints `joined`, and goes on once a
line comes in: whoever attaches then has missed the beginning of all. Prints how many calls it made of each kind.
"""

import collections
import json
import sys

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

CONNECTIONS, ROUNDS = 20, 10


def stub():
    channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.use_local_subchannel_pool", 1)])
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def request(model="tiny"):
    asked = pb.ModelInferRequest(model_name=model)
    asked.inputs.add(name="in", datatype="FP32", shape=[1])
    asked.raw_input_contents.append(bytes(4))
    return asked


def infer(called):
    called.ModelInfer(request())


def absent(called):
    try:
        called.ModelInfer(request("absent"))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND


def stream(called):
    assert len(list(called.ModelStreamInfer(iter([request()])))) == 5


def live(called):
    called.ServerLive(pb.ServerLiveRequest())


stubs = [stub() for _ in range(CONNECTIONS)]
for called in stubs:
    live(called)
    infer(called)
print("joined", flush=True)
sys.stdin.readline()
kinds = [infer, absent, stream, live, infer]
made = collections.Counter()
for kind in (kinds * ROUNDS)[:ROUNDS]:
    for called in stubs:
        kind(called)
        made[kind.__name__] += 1
print(json.dumps(made), flush=True)
