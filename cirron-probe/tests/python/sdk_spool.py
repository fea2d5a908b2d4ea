"""A spool as the SDK's readers see it, for the programs beside this one."""

import glob
import json
import os


def read(directory):
    """Spans by id, as they were at their end, and all marks."""
    spans, marks = {}, []
    for path in sorted(glob.glob(os.path.join(directory, "spool", "*.json"))):
        with open(path) as file:
            batch = json.load(file)
        for span in batch["spans"]:
            if span["id"] not in spans or span["end_ns"] is not None:
                spans[span["id"]] = span
        marks += batch["marks"]
    return spans, marks


def shown(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def shown_mark(mark):
    """Its name, value and kind; what was measured is never the same twice."""
    measured = mark["name"].endswith("_ms") or mark["name"] == "tokens_per_second"
    value = "*" if measured else shown(mark["value"])
    return f"{mark['name']} = {value} ({mark['value_type']} {mark['kind']})"
