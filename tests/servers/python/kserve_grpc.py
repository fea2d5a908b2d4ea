"""KServe's inference service by grpcio, with the stubs that Triton's client publishes.

Usage: kserve_grpc.py PORT TRUTH. For each call a JSON line is appended to TRUTH: method, status, the
messages and bytes of both ends as protobuf counts them, and when the handler had its first answer.
"""

import json
import sys
import time
from concurrent import futures

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

STEP = 0.02
ANSWERS = 5


class Call:
    """What passes in one call."""

    def __init__(self, method):
        self.told = {"method": method, "status": "OK", "sent": 0, "sent_bytes": 0, "received": 0, "received_bytes": 0, "first_wall_ns": None}

    def got(self, message):
        self.told["received"] += 1
        self.told["received_bytes"] += message.ByteSize()

    def gives(self, message):
        self.told["sent"] += 1
        self.told["sent_bytes"] += message.ByteSize()
        self.told["first_wall_ns"] = self.told["first_wall_ns"] or time.time_ns()
        return message

    def end(self, status="OK"):
        self.told["status"] = status
        with open(sys.argv[2], "a") as truth:
            truth.write(json.dumps(self.told) + "\n")


def answer(request, datatype, raw):
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=request.model_version or "7", id=request.id)
    response.outputs.add(name="out", datatype=datatype, shape=[1])
    response.raw_output_contents.append(raw)
    return response


def text(word):
    return len(word).to_bytes(4, "little") + word


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ServerLive(self, request, context):
        return pb.ServerLiveResponse(live=True)

    def ModelInfer(self, request, context):
        call = Call("ModelInfer")
        call.got(request)
        time.sleep(STEP)
        if request.model_name == "absent":
            call.end("NOT_FOUND")
            context.abort(grpc.StatusCode.NOT_FOUND, "zq7canary")
        if request.model_name == "broken":
            call.end("INTERNAL")
            context.abort(grpc.StatusCode.INTERNAL, "zq7canary")
        response = call.gives(answer(request, "FP32", bytes(4)))
        call.end()
        return response

    def ModelStreamInfer(self, requests, context):
        call = Call("ModelStreamInfer")
        for request in requests:
            call.got(request)
            for i in range(ANSWERS):
                time.sleep(STEP)
                infer = answer(request, "BYTES", text(b"zq7canary%d" % i))
                yield call.gives(pb.ModelStreamInferResponse(infer_response=infer))
        call.end()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("ready", flush=True)
server.wait_for_termination()
