"""What the Cirron SDK wrote, one line for each scope and mark, as tests/python.rs writes the probes'."""

import glob
import json
import os
import sys

spans, marks = {}, []
for path in sorted(glob.glob(os.path.join(sys.argv[1], "spool", "*.json"))):
    with open(path) as file:
        batch = json.load(file)
    for span in batch["spans"]:
        if span["id"] not in spans or span["end_ns"] is not None:
            spans[span["id"]] = span
    marks += batch["marks"]


def shown(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def attrs(thing, left_out=()):
    return "".join(f" {k}={shown(v)}" for k, v in sorted(thing["attrs"].items()) if k not in left_out)


def place(span):
    names = []
    while span is not None and span["name"] != "cirron.session":
        index = "" if span["index"] is None else f"[{span['index']}]"
        names.append(f"{span['name']}{index}{attrs(span, ['request_id'])}")
        span = spans.get(span["parent_id"])
    return " > ".join(reversed(names))


for span in spans.values():
    if span["name"] != "cirron.session":
        print(place(span))
for mark in marks:
    measured = mark["name"].endswith("_ms") or mark["name"] == "tokens_per_second"
    value = "*" if measured else shown(mark["value"])
    kind = f"{mark['value_type']} {mark['kind']}"
    print(f"{place(spans[mark['span_id']])} : {mark['name']} = {value} ({kind}){attrs(mark)}")
