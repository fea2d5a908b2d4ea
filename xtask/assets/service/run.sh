#!/bin/bash
# The service under systemd's own code, on a machine that systemd did not boot: a manager of root's, in mounts of its own,
# which does for this unit what PID 1 does: mounts, capabilities, system calls. Prints what came of it.
#
#     unshare --mount --propagation private run.sh PROGRAM UNIT CONFIG SERVER STATE
#
# STATE is the manager's own directory, and not below /tmp, which the unit hides.
set -euo pipefail
program=$1 unit=$2 config=$3 server=$4 state=$5

mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user /run/systemd/inaccessible/dir
touch /run/systemd/inaccessible/reg
mkfifo /run/systemd/inaccessible/fifo
mknod /run/systemd/inaccessible/chr c 0 0
mknod /run/systemd/inaccessible/blk b 0 0
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/cirron-dist-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"

# Where it ships to. That, and what else root may serve on this machine, is no target, by a variable of the unit.
mkdir -p "$state"
/usr/bin/python3 "$(dirname "$server")/ingest.py" >"$state/ingested" &
ingest=$!
for _ in $(seq 50); do [ -s "$state/ingested" ] && break; sleep 0.1; done
read -r ingests <"$state/ingested"

mkdir -p "$state/systemd/user"
# The unit sees no /tmp of ours, and a checkout may lie there.
mkdir "$state/given"
cp "$program" "$state/given/cirron-agent"
cp "$config" "$state/given/cirron-agent.toml"
printf '[Unit]\nDescription=nothing\n' >"$state/systemd/user/nothing.target"
sed -e "s|/usr/bin/cirron-agent|$state/given/cirron-agent|; s|/etc/cirron-agent/cirron-agent.toml|$state/given/cirron-agent.toml|" \
    -e "s|^Type=exec|Type=exec\nStandardError=append:$state/said|" "$unit" \
    >"$state/systemd/user/cirron-agent.service"
mkdir "$state/systemd/user/cirron-agent.service.d"
cat >"$state/systemd/user/cirron-agent.service.d/ship.conf" <<END
[Service]
Environment=CIRRON_API_KEY=of-the-check CIRRON_API_ENDPOINT=http://127.0.0.1:$ingests
Environment='CIRRON_TARGETS=[{ user = "root", exclude = true }]'
END
export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME=$state HOME=$state SYSTEMD_LOG_TARGET=console
/lib/systemd/systemd --user --unit=nothing.target >"$state/manager.log" 2>&1 &
manager=$!

# A library that the unit's own /tmp does not have: TLS is read by the target's files, not by ours.
libraries=$(mktemp -d /tmp/cirron-dist.XXXXXX)
cp /usr/lib/x86_64-linux-gnu/lib{ssl,crypto}.so.3 "$libraries/"
cp "$server" "$libraries/server.py"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout "$libraries/key.pem" -out "$libraries/cert.pem" 2>/dev/null
chmod -R a+rX "$libraries"
LD_LIBRARY_PATH=$libraries setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    /usr/bin/python3 "$libraries/server.py" "$libraries" >"$state/ports" &
served=$!
trap 'kill $served $ingest $manager 2>/dev/null || true; rm -rf "$libraries"' EXIT

for _ in $(seq 50); do systemctl --user is-system-running >/dev/null 2>&1 && break; sleep 0.1; done
for _ in $(seq 50); do [ -s "$state/ports" ] && break; sleep 0.1; done
read -r plain tls <"$state/ports"
systemctl --user start cirron-agent.service
for _ in $(seq 100); do grep -q "watching pid $served" "$state/said" && break; sleep 0.1; done
sleep 1
for _ in 1 2 3; do
    curl -sS -o /dev/null "http://127.0.0.1:$plain/plain"
    curl -sSk -o /dev/null "https://127.0.0.1:$tls/tls"
done
sleep 2
pid=$(systemctl --user show cirron-agent.service --property MainPID --value)
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status"
# The processes that ship have no right at all.
ships() {
    local each
    for each in $(pgrep --parent "$1" || true); do
        if tr '\0' ' ' <"/proc/$each/cmdline" | grep -q ' ship '; then grep CapEff "/proc/$each/status"; fi
        ships "$each"
    done
}
echo "ships: $(ships "$pid" | sort | uniq -c | tr -s ' \t\n' ' ')"
systemctl --user reload cirron-agent.service
sleep 1
systemctl --user stop cirron-agent.service
systemctl --user show cirron-agent.service --property Result,ExecMainStatus
echo "batches: $(grep -c 'batch Bearer of-the-check' "$state/ingested" || true)"
cat "$state/said"
