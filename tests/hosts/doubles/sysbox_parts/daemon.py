#!/usr/bin/python3 -IS
"""DOUBLE of sysbox-mgr and sysbox-fs, a part of the tests: a daemon with the original's name, socket and start-up needs.

As sysbox-fs it keeps a small file system whose source is `sysboxfs`; sysbox-runc's double mounts its files into containers.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

VERSION = "@VERSION@"
NAME = pathlib.Path(sys.argv[0]).name
SOCKETS = {"sysbox-mgr": "sysmgr.sock", "sysbox-fs": "sysfs.sock"}
NEEDS = {"sysbox-mgr": ("rsync", "modprobe", "iptables"), "sysbox-fs": ("fusermount3",)}
MOUNTPOINT = "/var/lib/sysboxfs"


def give_subordinate_ids():
    """The `sysbox` user's range in /etc/subuid and /etc/subgid, which containers' roots are mapped to."""
    for name in ("/etc/subuid", "/etc/subgid"):
        path = pathlib.Path(name)
        lines = path.read_text().splitlines() if path.exists() else []
        if any(line.startswith("sysbox:") for line in lines):
            continue
        ends = [
            int(start) + int(size) for _, start, size in (line.split(":") for line in lines if line.count(":") == 2)
        ]
        path.write_text("\n".join([*lines, f"sysbox:{max([231072, *ends])}:65536"]) + "\n")


def mount_files():
    """The file system that containers see; a stale one (after a crash) is replaced."""
    subprocess.run(["umount", "-l", MOUNTPOINT], stderr=subprocess.DEVNULL, check=False)
    os.makedirs(MOUNTPOINT, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=1m", "sysboxfs", MOUNTPOINT], check=True)
    pathlib.Path(MOUNTPOINT, "swaps").write_text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")


def notify(text):
    """sd_notify without its library."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def main():
    """Serve until told to stop."""
    if "--version" in sys.argv:
        print(f"{NAME}\n\tedition: \tCommunity Edition (CE) (double)\n\tversion: \t{VERSION}\n\tcommit: \tdouble")
        return
    missing = [program for program in NEEDS[NAME] if not shutil.which(program, path=os.defpath + ":/usr/sbin:/sbin")]
    if missing:
        sys.exit(f"{NAME}: preflight check failed: {missing[0]} is not installed on host")
    if NAME == "sysbox-mgr":
        give_subordinate_ids()
    else:
        mount_files()
    address = pathlib.Path("/run/sysbox", SOCKETS[NAME])
    address.parent.mkdir(mode=0o700, exist_ok=True)
    address.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(address))
    server.listen(16)

    def stop(*_):
        address.unlink(missing_ok=True)
        if NAME == "sysbox-fs":
            subprocess.run(["umount", "-l", MOUNTPOINT], check=False)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    print(f"double of {NAME} {VERSION}; DOCKER_HOST={os.environ.get('DOCKER_HOST', '(default)')}", flush=True)
    notify("READY=1")
    while True:
        server.accept()[0].close()


main()
