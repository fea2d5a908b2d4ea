"""Scopes, marks and requests for cirron-agent, by probes that cost almost nothing when nobody listens.

A drop-in for ``ci.scope``, ``ci.mark`` and ``@ci.inference`` of the Cirron SDK::

    from cirron_probe import inference, mark, scope

    @inference
    def predict(rows):
        with scope("preprocess", index=0, rows=len(rows)):
            mark("bytes", 42)

There is no set-up, no thread, no file. The scope is that of the task or thread (context variables),
so that coroutines, generators and ``asyncio.to_thread`` each have their own. What is told of them is
written down in docs/probes.md. Where the shared library is missing nothing is told.
"""

from cirron_probe._inference import inference
from cirron_probe._library import available
from cirron_probe._scope import dropped, mark, scope

__all__ = ["available", "dropped", "inference", "mark", "scope"]
