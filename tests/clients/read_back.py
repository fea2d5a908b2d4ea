"""Reads a spool with the SDK's own code and prints what it found as JSON: `read_back.py DIR`.

Batches are read and merged by the rules of the SDK's readers: of two spans with one id the one that
has an end wins, else the later; marks are joined on `span_id`.
"""

import json
import re
import sys
from pathlib import Path

from cirron.core.render import build_tree, flatten_for_df, render_tree_text

spans, marks = {}, {}
for path in sorted(Path(sys.argv[1], "spool").iterdir()):
    if not re.match(r"^\d+-[0-9a-f]+\.json$", path.name):
        continue
    batch = json.loads(path.read_text())
    for span in batch["spans"]:
        old = spans.get(span["id"])
        if old is None or span["end_ns"] is not None or old["end_ns"] is None:
            spans[span["id"]] = span
    for mark in batch["marks"]:
        marks.setdefault(mark["span_id"], []).append(mark)

tree = build_tree(list(spans.values()), marks)
rows = flatten_for_df(list(spans.values()), marks)


def node(n):
    return {"name": n["span"]["name"], "marks": len(n["marks"]), "children": [node(c) for c in n["children"]]}


print(json.dumps({"roots": [node(r) for r in tree], "rows": len(list(rows)), "text_lines": len(render_tree_text(tree).splitlines())}))
