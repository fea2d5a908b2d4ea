"""Runs inside the guest of `cargo xtask vm`: servers, the agent on each, curl; writes what each says happened.

Below /in are the agent, the real-server suite and its servers, unmodified; below /out go

    host.json           the kernel, the exit code of `doctor`; doctor.txt, what that printed
    suite.txt           what the suite printed of the tests that need nothing but the agent

and for each server, over HTTP and HTTPS, a folder:

    NAME/truth.jsonl    what the server's handlers saw, by the server; server.log, what it printed
    NAME/run.json       what curl saw, and how the agent ended
    NAME/agent/         the agent's: spool/, summary.json, log.txt

and, where the kernel has TLS of its own, the folders `ktls_written` and `ktls_sendfile` of OpenSSL's own server, with run.json, agent/
and tls_stat.txt, the kernel's counters of it.

It judges nothing (that is `cirron_tests::vm`, on the other side), and fails only where a check could not be made.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

SERVERS = "/in/servers/python"
CERT, KEY = "/in/servers/tls/cert.pem", "/in/servers/tls/key.pem"
AGENT = "/in/cirron-agent"
# The rights that the chart gives the agent, and no other: docs/kubernetes.md.
RIGHTS = ["setpriv", "--no-new-privs", "--bounding-set=-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore"]
# An emulated processor is some ten times slower than this one.
PATIENCE_S = 60


def call(name, stream, kind="chat/completions", **more):
    return "/v1/" + kind, {"model": name, "stream": stream, **more}


# One after the other on connections of their own, then the last four at once.
CALLS = [
    ("/health?q=zq7canary", None),
    call("plain", False, x_tokens=7, x_prompt_tokens=20),
    call("events", True, x_tokens=12, x_ttft_ms=40, x_interval_ms=5, x_usage=True),
    call("counted", True, x_tokens=9, x_ttft_ms=30, x_interval_ms=4),
    call("text", True, kind="completions", x_tokens=6, x_interval_ms=5, x_usage=True),
    call("responses", True, kind="responses", x_tokens=5, x_interval_ms=5, x_usage=True),
    call("vector", False, kind="embeddings"),
    call("refused", False, x_status=429),
    call("broken", False, x_status=500),
    # Records of every size class, and more than one TLS record each.
    call("long", False, x_tokens=50, x_pad=4000),
    call("wide", True, x_tokens=8, x_interval_ms=5, x_pad=30000, x_usage=True),
    call("asked", False, x_tokens=3, padding="q" * 150000),
    call("at-once-1", True, x_tokens=20, x_ttft_ms=20, x_interval_ms=10, x_usage=True),
    call("at-once-2", True, x_tokens=20, x_ttft_ms=20, x_interval_ms=10, x_usage=True),
    call("at-once-3", True, x_tokens=20, x_ttft_ms=20, x_interval_ms=10),
    call("at-once-4", True, x_tokens=20, x_ttft_ms=20, x_interval_ms=10),
]
AT_ONCE = 4

# Threads of one server in each other's way: more of them than processors are inside SSL_write, and taken off the processor there.
CROWD = [[call(f"crowd-{n}-{i}", True, x_tokens=60 + i, x_pad=700 * i, x_usage=True) for i in range(12)] for n in range(3)]


def until(what, done):
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.02)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def start_server(which, folder, port, tls):
    env = dict(os.environ, TRUTH_FILE=f"{folder}/truth.jsonl")
    if which == "http_server":
        command = ["python3", f"{SERVERS}/app_stdlib.py", "127.0.0.1", str(port)]
        if tls:
            env |= {"TLS_CERT": CERT, "TLS_KEY": KEY}
    else:
        command = ["python3", "-m", "uvicorn", "--app-dir", SERVERS, "--port", str(port), "app_fastapi:app"]
        if tls:
            command += ["--ssl-certfile", CERT, "--ssl-keyfile", KEY]
    log = open(f"{folder}/server.log", "w")
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    until(f"{which} listens", lambda: server.poll() is not None or listens(port))
    if server.poll() is not None:
        raise SystemExit(f"{which} ended: {read(folder + '/server.log')}")
    return server


def curl(port, tls, path, body):
    scheme = "https" if tls else "http"
    command = ["curl", "-sS", "-N", "--max-time", str(PATIENCE_S), "--cacert", CERT, "-H", "X-Ask: zq7canary",
               "-o", "/dev/null", "-w", "%{http_code} %{size_upload} %{size_download} %{local_port}"]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "-H", "Expect:", "--data-binary", "@-"]
    child = subprocess.Popen(command + [f"{scheme}://localhost:{port}{path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdin.write(json.dumps(body) if body is not None else "")
    child.stdin.close()
    return child


def seen(child, path, body):
    printed = child.stdout.read()
    if child.wait() != 0:
        raise SystemExit(f"curl failed: {path} {printed}")
    status, sent, received, port = map(int, printed.split())
    return {"method": "POST" if body else "GET", "path": path.partition("?")[0], "model": body and body["model"],
            "status": status, "sent": sent, "received": received, "port": port}


def at_once(port, tls, calls):
    children = [(curl(port, tls, path, body), path, body) for path, body in calls]
    return [seen(*one) for one in children]


def drive(port, tls):
    calls = []
    for one in CALLS[:-AT_ONCE]:
        calls += at_once(port, tls, [one])
    return calls + at_once(port, tls, CALLS[-AT_ONCE:])


def crowd(port, tls):
    calls = []
    for one in CROWD:
        calls += at_once(port, tls, one)
    return calls


def attach(name, folder, server, rights=()):
    """Before the agent is there nothing is asked: its calls are all that it can record."""
    own = f"{folder}/agent"
    os.mkdir(own)
    log = open(f"{own}/log.txt", "w")
    agent = subprocess.Popen([*rights, AGENT, "--pid", str(server.pid), "-v", "--output-dir", own, "--summary-json", f"{own}/summary.json"],
                             stdout=log, stderr=log)
    attached = lambda: any(line.removeprefix("cirron-agent: ").startswith("attached") for line in read(f"{own}/log.txt").splitlines())
    until(f"{name}: the agent attaches", lambda: attached() or agent.poll() is not None)
    return agent, attached()


def check(name, which, port, tls, drive=drive, rights=()):
    folder = f"/out/{name}"
    os.mkdir(folder)
    server = start_server(which, folder, port, tls)
    agent, attached = attach(name, folder, server, rights)
    run = {"attached": attached, "calls": []}
    if run["attached"]:
        run["calls"] = drive(port, tls)
        agent.send_signal(signal.SIGINT)
    run["agent_exit"] = agent.wait(PATIENCE_S)
    # It is let go of alive, and still answers.
    run["alive"] = server.poll() is None and seen(curl(port, tls, "/health", None), "/health", None)["status"] == 200
    server.kill()
    server.wait()
    with open(f"{folder}/run.json", "w") as file:
        json.dump(run, file)


# Less than a TLS record, one, many.
FILES = [11, 1000, 16384, 300000]

# Asks for kernel TLS wherever the kernel has it.
KTLS = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = KTLS\n"


def ktls(how, port):
    name = f"ktls_{how}"
    folder = f"/out/{name}"
    os.mkdir(folder)
    files = f"/tmp/{name}"
    os.mkdir(files)
    for size in FILES:
        with open(f"{files}/of-{size}", "w") as file:
            file.write("f" * size)
    with open("/tmp/ktls.cnf", "w") as file:
        file.write(KTLS)
    command = ["openssl", "s_server", "-WWW", "-accept", str(port), "-cert", CERT, "-key", KEY]
    if how == "sendfile":
        command += ["-sendfile"]
    log = open(f"{folder}/server.log", "w")
    server = subprocess.Popen(command, env=dict(os.environ, OPENSSL_CONF="/tmp/ktls.cnf"), cwd=files, stdout=log, stderr=log)
    until(f"{name} listens", lambda: server.poll() is not None or listens(port))
    agent, attached = attach(name, folder, server)
    calls = []
    for size in FILES if attached else []:
        calls.append(seen(curl(port, True, f"/of-{size}", None), f"/of-{size}", None))
    if attached:
        agent.send_signal(signal.SIGINT)
    run = {"attached": attached, "calls": calls, "agent_exit": agent.wait(PATIENCE_S), "alive": server.poll() is None}
    server.kill()
    server.wait()
    with open(f"{folder}/tls_stat.txt", "w") as file:
        file.write(read("/proc/net/tls_stat"))
    with open(f"{folder}/run.json", "w") as file:
        json.dump(run, file)


def doctor():
    done = subprocess.run([AGENT, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with open("/out/doctor.txt", "w") as file:
        file.write(done.stdout)
    with open("/out/host.json", "w") as file:
        json.dump({"release": os.uname().release, "doctor_exit": done.returncode}, file)


def suite():
    with open("/in/zoo-path") as file:
        zoo = file.read()
    os.makedirs(os.path.dirname(zoo), exist_ok=True)
    os.symlink("/in/zoo", zoo)
    with open("/out/suite.txt", "w") as file:
        subprocess.run(["/in/real", "every_call_that_moves_bytes"], env=dict(os.environ, CIRRON_AGENT_BIN=AGENT), stdout=file, stderr=file)


doctor()
suite()
port = 18000
for which in ["http_server", "uvicorn"]:
    for tls in [False, True]:
        port += 1
        check(f"{'https' if tls else 'http'}_{which}", which, port, tls)
        print("made", which, tls, flush=True)
port += 1
check("https_crowd", "http_server", port, True, crowd)
print("made crowd", flush=True)
for tls in [False, True]:
    port += 1
    check(f"rights_{'https' if tls else 'http'}", "http_server", port, tls, rights=RIGHTS)
print("made rights", flush=True)
if os.path.exists("/proc/net/tls_stat"):
    for how in ["written", "sendfile"]:
        port += 1
        ktls(how, port)
        print("made", how, flush=True)
sys.exit(0)
