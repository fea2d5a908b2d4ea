"""Reads what `export` wrote by readers that know nothing of the agent, and says in JSON what each of them found:
for each format the requests by request id, with status, output tokens and time in ms; None is what is not known.

python exports.py FILE.csv FILE.jsonl FILE.otlp
"""

import base64
import csv
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

number = lambda text: None if text in ("", None) else float(text)


def from_csv(path):
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "request":
                yield row["request_id"], row["status"], row["output_tokens"], row["time_ms"]


def from_jsonl(path):
    with open(path) as file:
        for row in map(json.loads, file):
            if row["kind"] == "request":
                yield row["request_id"], row.get("status"), row.get("output_tokens"), row.get("time_ms")


def value(attribute):
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def from_otlp(path):
    for line in open(path):
        data = json.loads(line)
        # OTLP's JSON has ids in hexadecimal, where the mapping of Protobuf has base64.
        for resource in data["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in span:
                            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        for resource in json_format.ParseDict(data, TracesData()).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    facts = {a.key: value(a) for a in span.attributes}
                    if "cirron.request_id" not in facts or span.kind != span.SPAN_KIND_SERVER:
                        continue
                    time_ms = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                    tokens = facts.get("gen_ai.usage.output_tokens")
                    yield facts["cirron.request_id"], facts.get("http.response.status_code"), tokens, time_ms


found = {}
for name, rows in (("csv", from_csv(sys.argv[1])), ("jsonl", from_jsonl(sys.argv[2])), ("otlp", from_otlp(sys.argv[3]))):
    found[name] = {request: [number(status), number(tokens), number(time_ms)] for request, status, tokens, time_ms in rows}
print(json.dumps(found))
