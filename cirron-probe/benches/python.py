"""What the module costs while nobody listens, and while somebody does (without the tracer's own part).

It builds the wheel from ../python, unpacks it, and measures that.
"""

import os
import sys
import tempfile
import timeit
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SITE = tempfile.TemporaryDirectory()
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "python"))
import build_backend  # noqa: E402

WHEEL = build_backend.build_wheel(SITE.name)
with zipfile.ZipFile(os.path.join(SITE.name, WHEEL)) as archive:
    archive.extractall(SITE.name)
sys.path[0] = SITE.name
import cirron_probe  # noqa: E402
from cirron_probe import _library  # noqa: E402

if not cirron_probe.available():
    sys.exit("there is no library to measure: it needs Linux and a C compiler")

TIMES, ROUNDS = 100_000, 7


class Nothing:
    """A block that does nothing, to compare with."""

    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass


def empty():
    pass


def nothing():
    with Nothing():
        pass


def one_scope():
    with cirron_probe.scope("preprocess"):
        pass


def one_scope_with_attributes():
    with cirron_probe.scope("preprocess", index=1, rows=3):
        pass


def one_mark():
    cirron_probe.mark("tokens", 17)


one_request = cirron_probe.inference(empty)


def measure():
    for function in [nothing, one_scope, one_scope_with_attributes, one_mark, one_request]:
        rounds = sorted(timeit.repeat(function, number=TIMES, repeat=ROUNDS))
        low, median, high = (rounds[i] / TIMES * 1e9 for i in (0, ROUNDS // 2, -1))
        name = "one_request" if function is one_request else function.__name__
        print(f"  {name:<28} {median:.0f} ({low:.0f} to {high:.0f})")


print("nobody listens, ns a call: median of 7 rounds (lowest to highest)")
measure()
for probe in ("scope_begin", "scope_end", "request_begin", "mark"):
    _library.semaphore(probe).value += 1
print("semaphores raised by hand")
measure()
