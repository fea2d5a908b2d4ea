"""Builds the wheel: the module, and the shared library that a compiler of C makes of ``../c``.

``pip wheel .`` and ``pip install .`` call it; ``python build_backend.py DIRECTORY`` does the same. It
needs nothing but a C compiler (``CC``, else ``cc``). Where there is none, or no Linux, the wheel is
pure Python, and tells nothing.
"""

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAME, VERSION = "cirron_probe", "0.1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
LIBRARY = "libcirron_probe.so"
METADATA = f"""Metadata-Version: 2.1
Name: cirron-probe
Version: {VERSION}
Summary: Scopes, marks and requests of your program for cirron-agent, by USDT probes
License: Apache-2.0 OR MIT
Requires-Python: >=3.8
"""


def compile_library(directory):
    """The library's path, or None where there can be none."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux":
        return None
    library = os.path.join(directory, LIBRARY)
    source = os.path.join(HERE, "..", "c", "libcirron_probe.c")
    command = [compiler, "-O2", "-fPIC", "-shared", "-Wl,--build-id", "-o", library, source]
    subprocess.run(command, check=True)
    return library


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel and returns its name, as PEP 517 has it."""
    with tempfile.TemporaryDirectory() as directory:
        library = compile_library(directory)
        tag = "py3-none-any" if library is None else f"py3-none-linux_{platform.machine()}"
        files = {}
        for name in sorted(os.listdir(os.path.join(HERE, NAME))):
            if name.endswith(".py"):
                files[f"{NAME}/{name}"] = os.path.join(HERE, NAME, name)
        if library is not None:
            files[f"{NAME}/{LIBRARY}"] = library
        contents = {}
        for name, path in files.items():
            with open(path, "rb") as file:
                contents[name] = file.read()
    purity = "true" if library is None else "false"
    wheel = f"Wheel-Version: 1.0\nGenerator: cirron-probe\nRoot-Is-Purelib: {purity}\nTag: {tag}\n"
    contents[f"{INFO}/METADATA"] = METADATA.encode()
    contents[f"{INFO}/WHEEL"] = wheel.encode()
    record = f"{INFO}/RECORD"
    lines = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    contents[record] = "".join([*lines, f"{record},,\n"]).encode()
    filename = f"{NAME}-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return filename


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else "."
    os.makedirs(out, exist_ok=True)
    print(os.path.join(out, build_wheel(out)))
