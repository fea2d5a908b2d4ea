"""``@inference``: a request around each call of a function, and what is known of its answer.

A request is a root. The marks are the SDK's: token counts of an answer with OpenAI's ``usage``; of a
generator the time to its first item, its rate and length. A generator keeps its request open until it
ends; while it rests, neither task nor thread works for the request.

Unlike the SDK it does not patch transformers' ``generate``: the agent sees that without us.
"""

import functools
import inspect
import time

from cirron_probe import _library
from cirron_probe._scope import CANCELLED, ENDED, _current, outcome_of, scope, tell

_begin = _library.semaphore("request_begin")
_open = _library.semaphore("request_open")
_mark = _library.semaphore("mark")


class Request(scope):
    """A request in the making. It has no name and no id of its own; the tracer gives it one."""

    __slots__ = ("_started",)

    def __init__(self):
        super().__init__(None)

    def __enter__(self):
        self._started = time.perf_counter_ns()
        self._start(_library.REQUEST_BEGIN, _begin, _open)
        return self

    def _parent(self, up):
        return 0, 1

    def _end(self, outcome):
        # What was left open inside must not be the parent of what comes after.
        if not self._ended and self.id in [node.id for node in chain(_current.get())]:
            _current.set(self._up)
        super()._end(outcome)

    def mark(self, name, value, kind="summary", **attrs):
        if self.id and _mark.value:
            tell(self.id, name, value, kind == "summary", attrs)


def chain(node):
    """A scope and those around it, the innermost first."""
    while node is not None:
        yield node
        node = node._up


def inference(fn=None, *, config=None):
    """Decorates a function that answers requests: ``@inference`` or ``@inference(config={...})``.

    ``config={"stream_chunk_timing": True}`` tells the time between the items of a generator too.
    """
    settings = dict(config) if config else {}

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                if not (_begin.value or _open.value):
                    return await function(*args, **kwargs)
                with Call(settings) as call:
                    return call.answer(await function(*args, **kwargs))

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                if not (_begin.value or _open.value):
                    return function(*args, **kwargs)
                with Call(settings) as call:
                    return call.answer(function(*args, **kwargs))

        wrapper._cirron_config = settings
        return wrapper

    return decorate if fn is None else decorate(fn)


class Call:
    """One call: its request ends with it, unless the answer is a stream, which takes it over."""

    def __init__(self, settings):
        self._chunk_timing = bool(settings.get("stream_chunk_timing", False))

    def __enter__(self):
        self._request = Request().__enter__()
        self._stream = None
        return self

    def answer(self, result):
        request = self._request
        if not request.id:
            return result
        mark_usage(request, result)
        if inspect.isasyncgen(result):
            self._stream = AsyncStream(result, request, self._chunk_timing)
        elif hasattr(result, "__iter__") and hasattr(result, "__next__"):
            self._stream = Stream(result, request, self._chunk_timing)
        return result if self._stream is None else self._stream

    def __exit__(self, kind, error, trace):
        if self._stream is None:
            self._request.__exit__(kind, error, trace)
        else:
            self._stream.rest(self._request._up)


def field(thing, name):
    """A field of a dictionary or an object; None where there is none, or it cannot be read."""
    try:
        return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
    except Exception:  # A property of somebody's may raise anything, and that is not our business.
        return None


def usage_of(result):
    """The counts of an answer with OpenAI's usage, those that are integers."""
    usage = field(result, "usage")
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    found = {} if usage is None else {name: field(usage, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }


def mark_usage(request, result):
    counts = usage_of(result)
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    total = counts.get("total_tokens")
    if prompt is not None:
        request.mark("prompt_tokens", prompt, source="openai")
        request.mark("input_tokens", prompt, source="openai", normalized=True)
    if completion is not None:
        request.mark("completion_tokens", completion, source="openai")
        request.mark("output_tokens", completion, source="openai", normalized=True)
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    if total is not None:
        request.mark("total_tokens", total, source="openai", normalized=True)


class Rests:
    """What streams of both kinds have: the request goes with them, and rests between two items.

    ::

        rest ──▶ outside ── wake ──▶ inside: an item ── rest ──▶ outside ... ── finish ──▶ ended
    """

    def __init__(self, source, request, chunk_timing):
        self._source = source
        self._request = request
        self._chunk_timing = chunk_timing
        self._inside = request
        self._first = self._last = self._reported = None
        self._count = 0

    def rest(self, outside):
        """Back to what was current outside; what is open inside is remembered."""
        self._inside = _current.get()
        _current.set(outside)
        # Told of those that claim no thread as well: the task goes on outside of them.
        for node in self._open_inside():
            _library.leave(node.id)

    def wake(self):
        """What is open inside is current again; what was, to go back to."""
        outside = _current.get()
        _current.set(self._inside)
        for node in reversed(self._open_inside()):
            if node._claims:
                _library.enter(node.id)
        return outside

    def _open_inside(self):
        """Scopes of the stream, the innermost first."""
        if not any(node is self._request for node in chain(self._inside)):
            return []
        nodes = []
        for node in chain(self._inside):
            if not node._ended:
                nodes.append(node)
            if node is self._request:
                break
        return nodes

    def took(self, item):
        now = time.perf_counter_ns()
        request = self._request
        if self._first is None:
            self._first = now
            request.mark("time_to_first_token_ms", (now - request._started) / 1e6)
        elif self._chunk_timing:
            request.mark("chunk_ms", (now - self._last) / 1e6, kind="point", index=self._count)
        self._last = now
        self._count += 1
        self._reported = usage_of(item).get("completion_tokens", self._reported)

    def finish(self, outcome):
        request = self._request
        if request._ended:
            return
        now = time.perf_counter_ns()
        request.mark("request_duration_ms", (now - request._started) / 1e6)
        if self._first is not None:
            count = self._count if self._reported is None else self._reported
            request.mark("output_tokens", count, normalized=True)
            seconds = max(1e-9, (now - self._first) / 1e9)
            request.mark("tokens_per_second", count / seconds)
        request._end(outcome)


class Stream(Rests):
    """A generator inside of its request."""

    def __iter__(self):
        return self

    def __next__(self):
        return self._step(self._source.__next__)

    def send(self, value):
        return self._step(self._source.send, value)

    def throw(self, *error):
        return self._step(self._source.throw, *error)

    def close(self):
        outside = self.wake()
        try:
            getattr(self._source, "close", lambda: None)()
        finally:
            self.finish(CANCELLED)
            self.rest(outside)

    def __del__(self):
        if not self._request._ended:
            self.close()

    def _step(self, step, *arguments):
        outside = self.wake()
        try:
            item = step(*arguments)
            self.took(item)
            return item
        except StopIteration:
            self.finish(ENDED)
            raise
        except BaseException as error:
            self.finish(outcome_of(type(error)))
            raise
        finally:
            self.rest(outside)


class AsyncStream(Rests):
    """An asynchronous generator inside of its request."""

    def __aiter__(self):
        return self

    def __anext__(self):
        return self._step(self._source.__anext__())

    def asend(self, value):
        return self._step(self._source.asend(value))

    def athrow(self, *error):
        return self._step(self._source.athrow(*error))

    async def aclose(self):
        outside = self.wake()
        try:
            await self._source.aclose()
        finally:
            self.finish(CANCELLED)
            self.rest(outside)

    def __del__(self):
        if not self._request._ended:
            self.finish(CANCELLED)

    async def _step(self, step):
        outside = self.wake()
        try:
            item = await step
            self.took(item)
            return item
        except StopAsyncIteration:
            self.finish(ENDED)
            raise
        except BaseException as error:
            self.finish(outcome_of(type(error)))
            raise
        finally:
            self.rest(outside)
