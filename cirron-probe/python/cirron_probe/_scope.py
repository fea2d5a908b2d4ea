"""Scopes and marks, and whose they are.

The current scope is a context variable: the task's in asyncio, the thread's elsewhere. A scope links
to the one around it, and one that has ended is passed over, so that scopes may end in any order and
in any context.

A thread is told to work for a scope (``scope_begin``) only where it does so until the end: inside of an
event loop or a greenlet other tasks have their turn meanwhile, and the scope is only opened.
"""

import functools
import inspect
import sys
from contextvars import ContextVar

from cirron_probe import _library

MAX_DEPTH = 64
ENDED, FAILED, CANCELLED = range(3)

_current = ContextVar("cirron_probe_scope", default=None)
_begin = _library.semaphore("scope_begin")
_open = _library.semaphore("scope_open")
_mark = _library.semaphore("mark")
_dropped = 0


def dropped():
    """Scopes that were not told because 64 were open around them."""
    return _dropped


def innermost():
    """The current scope that has not ended, or None."""
    node = _current.get()
    while node is not None and node._ended:
        node = node._up
    return node


def owns_thread():
    """Whether nobody else has a turn on this thread before what runs here ends."""
    modules = sys.modules
    events = modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:
        return False
    greenlet = modules.get("greenlet")
    if greenlet is not None and greenlet.getcurrent().parent is not None:
        return False
    return "trio" not in modules and "curio" not in modules


def outcome_of(kind):
    """How a block ended, by the type of the exception that went through it."""
    if kind is None:
        return ENDED
    if issubclass(kind, GeneratorExit) or kind.__name__ in ("CancelledError", "Cancelled"):
        return CANCELLED
    return FAILED


class scope:
    """A span: ``with scope("preprocess", index=0, rows=3):``, or a decorator of functions of any kind.

    ``id`` is its number in the probes, 0 where nobody listened when it began.
    """

    __slots__ = ("name", "index", "attrs", "id", "_up", "_depth", "_ended", "_claims")

    def __init__(self, name, index=None, **attrs):
        self.name = name
        self.index = index
        self.attrs = attrs
        self.id = 0

    def __enter__(self):
        if _begin.value or _open.value:
            self._start(_library.SCOPE_BEGIN, _begin, _open)
        return self

    def __exit__(self, kind, error, trace):
        if self.id:
            self._end(outcome_of(kind))

    def __call__(self, function):
        def again():
            return scope(self.name, self.index, **self.attrs)

        return wrap(function, again)

    def _start(self, what, begin, opens):
        """Begins, if somebody listens to what has to be said. `what` is that which claims the thread."""
        global _dropped
        up = innermost()
        parent, depth = self._parent(up)
        if depth > MAX_DEPTH:
            _dropped += 1
            _library.left_out(_library.TOO_DEEP)
            return
        self._claims = owns_thread()
        if not (begin if self._claims else opens).value:
            return
        self._up, self._depth, self._ended = up, depth, False
        attributes = _library.pack(self.index, self.attrs)
        what = what if self._claims else what + 1
        self.id = _library.start(what, parent, self.name, attributes)
        _current.set(self)

    def _parent(self, up):
        return (0, 1) if up is None else (up.id, up._depth + 1)

    def _end(self, outcome):
        if self._ended:
            return
        self._ended = True
        if _current.get() is self:
            _current.set(self._up)
        _library.end(self.id, outcome)


def wrap(function, enter):
    """The function, of whatever kind, inside of what `enter` gives anew for each call."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def inside(*args, **kwargs):
            with enter():
                source = function(*args, **kwargs)
                try:
                    async for item in source:
                        yield item
                finally:
                    await source.aclose()

    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inside(*args, **kwargs):
            with enter():
                return await function(*args, **kwargs)

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with enter():
                return (yield from function(*args, **kwargs))

    else:

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with enter():
                return function(*args, **kwargs)

    return inside


def mark(name, value, *, kind="point", **attrs):
    """Attaches a value to the current scope: a ``point``, or the ``summary`` of the scope.

    A wrong kind or value is an error whether somebody listens or not.
    """
    if kind != "point" and kind != "summary":
        raise ValueError(f"mark() kind must be 'point' or 'summary'; got {kind!r}")
    if not isinstance(value, (int, float, str)):
        raise TypeError(f"mark() value must be float, int, str, or bool; got {type(value).__name__}")
    if _mark.value:
        node = innermost()
        tell(0 if node is None else node.id, name, value, kind == "summary", attrs)


def tell(target, name, value, summary, attrs):
    """A mark on a scope that is known by its number."""
    _library.tell(target, name, value, summary, _library.pack(None, attrs))
