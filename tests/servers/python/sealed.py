"""`sealed.py COMMAND...`: runs it under a seccomp filter that kills it for a return probe's system call.

From Linux 6.11 on a return probe makes system call 335 (`uretprobe`) in its target, and from 6.18 on an
optimised probe makes 336 (`uprobe`): a filter of before does not know them.
"""

import ctypes
import os
import struct
import sys

KILL, ALLOW = 0x80000000, 0x7FFF0000
LOAD, JUMP_EQ, RETURN = 0x20, 0x15, 0x06
FILTER = [(LOAD, 0, 0, 0), (JUMP_EQ, 1, 0, 335), (JUMP_EQ, 0, 1, 336), (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in FILTER))
program = struct.pack("HxxxxxxP", len(FILTER), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
assert libc.prctl(38, 1, None, None, None) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.cast(ctypes.create_string_buffer(program), ctypes.c_void_p), None, None) == 0  # PR_SET_SECCOMP
os.execvp(sys.argv[1], sys.argv[1:])
