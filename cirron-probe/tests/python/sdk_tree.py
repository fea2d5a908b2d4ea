"""What the Cirron SDK wrote, one line for each scope and mark, as tests/python.rs writes the probes'."""

import sys

from sdk_spool import read, shown, shown_mark

spans, marks = read(sys.argv[1])


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
    print(f"{place(spans[mark['span_id']])} : {shown_mark(mark)}{attrs(mark)}")
