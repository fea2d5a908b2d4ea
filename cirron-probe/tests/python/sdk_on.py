"""Runs a program with the SDK writing its spool to `CIRRON_OUTPUT_DIR`: `sdk_on.py PROGRAM`, or `sdk_on.py -m MODULE ARGUMENT...`."""

import runpy
import sys

import cirron

cirron.profile(output="spool")
del sys.argv[0]
try:
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    cirron.shutdown()
