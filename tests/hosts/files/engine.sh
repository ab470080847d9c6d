#!/bin/sh
# PID 1 of the private engine's namespaces (mount, network, pid): whatever is mounted or started here ends with it.
# usage: engine.sh RUN_DIR DATA_ROOT CGROUP_PARENT; waits for RUN_DIR/connected
set -eu
run=$1 data=$2 parent=$3
child=
trap '[ -z "$child" ] || { kill "$child"; wait "$child"; }; exit 0' TERM INT
# containerd keeps its shims' sockets at a fixed place, whatever --exec-root says.
for fixed in /run/containerd /run/docker; do
    mkdir -p "$fixed"
    mount -t tmpfs -o mode=711 tmpfs "$fixed"
done
# One unified hierarchy, also on a machine with the old ones (then without controllers, which the tests do not need).
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
echo "{}" >"$run/daemon.json"
until [ -e "$run/connected" ]; do sleep 0.05; done
mtu=$(cat "$run/connected")
dockerd -H "unix://$run/docker.sock" --data-root "$data" --exec-root "$run/x" --pidfile "$run/pid" \
    --config-file "$run/daemon.json" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$parent" \
    --mtu "$mtu" --bip 10.218.0.1/20 >"$run/dockerd.log" 2>&1 &
child=$!
wait "$child"
