"""Two spools, the SDK's and the agent's, of the same work: what differs, as JSON.

`sdk_compare.py SDK AGENT`. `missing` and `more` are lines as `sdk_tree.py` writes them. Of the agent's only those attributes count whose
names the SDK writes on anything of that name, and neither calls to others nor the figures of its own count.
Requests of `/warm`, of which no program tells, are left out.
Places begin below the session: the SDK writes the requests of `@ci.inference` without a parent.
`start_us` and `end_us` are by how much the agent's times are later, a number for each scope in the order of their begins;
requests that the agent saw on the wire are left out there, as they begin earlier.
`sdk_lost` alone: so many marks of the SDK's have a scope that it did not write. It loses what ends while it writes.
"""

import collections
import json
import sys

from sdk_spool import read, shown, shown_mark

OWN = ("http.client", "overhead_ms", "time_in_queue_ms")


def is_warm(span):
    return span["attrs"].get("url.path", "").startswith("/warm")


def names(things):
    """The names of attributes, by the names of what has them."""
    found = collections.defaultdict(set)
    for thing in things:
        found[thing["name"]] |= set(thing["attrs"])
    return found


class Tree:
    def __init__(self, spool, span_names, mark_names):
        self.spans, self.marks = spool
        self.span_names, self.mark_names = span_names, mark_names

    def attrs(self, thing, names):
        kept = sorted((k, v) for k, v in thing["attrs"].items() if k in names[thing["name"]])
        return "".join(f" {k}={shown(v)}" for k, v in kept if k not in ("request_id", "pid", "device", "framework"))

    def place(self, span):
        above = []
        while span is not None and (span["name"] != "cirron.session" or not above):
            index = "" if span["index"] is None else f"[{span['index']}]"
            above.append(f"{span['name']}{index}{self.attrs(span, self.span_names)}")
            span = self.spans.get(span["parent_id"])
        return " > ".join(reversed(above))

    def scopes(self):
        """Places with times, in the order of their begins."""
        ordered = sorted(self.spans.values(), key=lambda span: span["start_ns"])
        return [(self.place(span), span) for span in ordered if not is_warm(span) and span["name"] not in OWN]

    def lines(self):
        lines = [place for place, _ in self.scopes()]
        for mark in self.marks:
            span = self.spans[mark["span_id"]]
            if mark["name"] in OWN or is_warm(span):
                continue
            place = self.place(span)
            lines.append(f"{place} : {shown_mark(mark)}{self.attrs(mark, self.mark_names)}")
        return collections.Counter(lines)


sdk, agent = read(sys.argv[1]), read(sys.argv[2])
lost = sum(mark["span_id"] not in sdk[0] for mark in sdk[1])
if lost:
    print(json.dumps({"sdk_lost": lost}))
    sys.exit()
known = names(sdk[0].values()), names(sdk[1])
theirs, ours = Tree(sdk, *known), Tree(agent, *known)
both = collections.defaultdict(lambda: ([], []))
for side, tree in enumerate((theirs, ours)):
    for place, span in tree.scopes():
        if span["name"] != "cirron.session" and "url.path" not in span["attrs"]:
            both[place][side].append(span)
pairs = [pair for spans in both.values() for pair in zip(*spans)]
print(json.dumps({
    "missing": sorted((theirs.lines() - ours.lines()).elements()),
    "more": sorted((ours.lines() - theirs.lines()).elements()),
    "lines": sum(theirs.lines().values()),
    "start_us": [(b["start_ns"] - a["start_ns"]) // 1000 for a, b in pairs],
    "end_us": [(b["end_ns"] - a["end_ns"]) // 1000 for a, b in pairs],
}))
