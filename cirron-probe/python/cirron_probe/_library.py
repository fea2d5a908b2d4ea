"""The shared library: whether somebody listens, the hits, and how attributes are packed.

It knows no scopes. Calls keep the interpreter's lock: they take less than giving it up.
"""

import ctypes
import os
import struct

SCOPE_BEGIN, SCOPE_OPEN, REQUEST_BEGIN, REQUEST_OPEN = range(4)
INT, FLOAT, BOOL, TEXT, UINT, INDEX = range(1, 7)
LEFT_OUT = 127
SUMMARY, CUT = 1 << 8, 1 << 9
TOO_DEEP, NO_KIND = 1, 2
MAX_TEXT, MAX_KEY, MAX_ATTRIBUTES = 256, 128, 512


class _Silence:
    """The semaphore where there is no library."""

    value = 0


def _load():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcirron_probe.so")
    try:
        library = ctypes.PyDLL(path)
        if library.cirron_probe_interface() < 1:
            return None
    except (OSError, AttributeError):
        return None
    word, text = ctypes.c_uint64, ctypes.c_char_p
    library.cirron_probe_semaphore.argtypes = [text]
    library.cirron_probe_semaphore.restype = ctypes.c_void_p
    library.cirron_probe_start.argtypes = [ctypes.c_int, word, text, word, text, word]
    library.cirron_probe_start.restype = word
    for name in ("end", "enter", "exit", "left_out", "tell", "tell_text"):
        getattr(library, "cirron_probe_" + name).restype = None
    library.cirron_probe_end.argtypes = [word, word]
    library.cirron_probe_enter.argtypes = [word]
    library.cirron_probe_exit.argtypes = [word]
    library.cirron_probe_left_out.argtypes = [ctypes.c_int]
    library.cirron_probe_tell.argtypes = [word, text, word, word, word, word, text, word]
    library.cirron_probe_tell_text.argtypes = [word, text, word, word, text, word, text, word]
    return library


_library = _load()


def available():
    """Whether there are probes: the shared library is there and fits this machine."""
    return _library is not None


def semaphore(probe):
    """What says, by its ``value``, whether somebody listens to a probe."""
    address = _library and _library.cirron_probe_semaphore(probe.encode())
    return ctypes.c_uint16.from_address(address) if address else _Silence


def start(what, parent, name, attributes):
    """Begins a scope or request; its identity. Only where somebody listens."""
    name = b"" if name is None else str(name).encode("utf-8", "replace")
    return _library.cirron_probe_start(what, parent, name, len(name), attributes, len(attributes))


def end(scope, outcome):
    _library.cirron_probe_end(scope, outcome)


def enter(scope):
    _library.cirron_probe_enter(scope)


def leave(scope):
    _library.cirron_probe_exit(scope)


def left_out(reason):
    """Tells that something was left out, where there is a library."""
    if _library is not None:
        _library.cirron_probe_left_out(reason)


def tell(scope, name, value, summary, attributes):
    """A mark, if its value is of some kind."""
    encoded = encode(value)
    if encoded is None:
        return left_out(NO_KIND)
    kind, data = encoded
    name = name.encode("utf-8", "replace")
    bits = kind | (SUMMARY if summary else 0)
    if kind == TEXT:
        kept = cut(data, MAX_TEXT)
        bits |= CUT if len(kept) < len(data) else 0
        hit = _library.cirron_probe_tell_text
        hit(scope, name, len(name), bits, kept, len(kept), attributes, len(attributes))
    else:
        word = int.from_bytes(data.ljust(8, b"\0"), "little")
        hit = _library.cirron_probe_tell
        hit(scope, name, len(name), bits, word, 0, attributes, len(attributes))


def cut(data, limit):
    """The first bytes of a text, to a whole character."""
    return data if len(data) <= limit else data[:limit].decode("utf-8", "ignore").encode()


def encode(value):
    """The kind of a value and its bytes (both machines are little-endian); None where no kind fits."""
    if isinstance(value, bool):
        return BOOL, b"\1" if value else b"\0"
    if isinstance(value, float):
        return FLOAT, struct.pack("<d", value)
    if isinstance(value, str):
        return TEXT, value.encode("utf-8", "replace")
    if hasattr(type(value), "__index__"):
        value = value.__index__()
        if -(1 << 63) <= value < 1 << 63:
            return INT, struct.pack("<q", value)
        if 0 <= value < 1 << 64:
            return UINT, struct.pack("<Q", value)
    return None


def pack(index, attributes):
    """Attributes as docs/probes.md has them. None is absent; what has no room or kind is counted."""
    if index is None and not attributes:
        return b""
    entries, missing = bytearray(), 0
    wanted = [] if index is None else [(INDEX, b"", index)]
    wanted += [(None, key.encode("utf-8", "replace"), value) for key, value in attributes.items()]
    for kind, key, value in wanted:
        if value is None:
            continue
        encoded = encode(value)
        if encoded is None or (kind == INDEX and encoded[0] != INT):
            missing += 1
            continue
        key, data = cut(key, MAX_KEY), cut(encoded[1], MAX_TEXT)
        entry = struct.pack("<BBH", kind or encoded[0], len(key), len(data)) + key + data
        if len(entries) + len(entry) + 8 > MAX_ATTRIBUTES:
            missing += 1
        else:
            entries += entry
    if missing:
        entries += struct.pack("<BBHI", LEFT_OUT, 0, 4, missing)
    return bytes(entries)
