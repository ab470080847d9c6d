"""What a host's file system holds, and how two states of it differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

# Written by the host itself all the time, or by nothing that matters here. Other file systems (proc, sys, dev, run) are not walked.
MOVING = (
    "/tmp/systemd-private-", "/var/tmp/systemd-private-", "/tmp/.", "/var/log/", "/var/lib/systemd/", "/var/cache/", "/var/lib/apt/lists",
    "/var/lib/apt/extended_states", "/var/lib/apt/daily_lock", "/var/backups/", "/var/lib/dpkg/", "/etc/.pwd.lock", "/root/.ansible/", "/etc/ld.so.cache", "/var/lib/dbus/", "/etc/resolv.conf", "/var/lib/NetworkManager/", "/var/lib/firewalld/",
    "/var/lib/sysbox/",  # emptied whenever Sysbox starts, filled with the first container
)  # fmt: skip
# The account tools keep their previous files beside the new ones.
BACKUPS = tuple(f"/etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"))
# A run's log is all that a run which changes nothing may leave.
LOGS = ("/home/dev/.local", "/root/.local", "/home/dev/.sudo_as_admin_successful")
# The engines' data are file systems of their own; their insides are looked at by name.
VOLUMES = ("/var/lib/docker", "/var/lib/docker-containai", "/var/lib/containerd", "/var/lib/sysbox")

_WALK = r"""
import hashlib, json, os, stat, subprocess, sys
moving, volumes, times = json.loads(sys.argv[1])
found = {}
def note(path, status):
    facts = [stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}"]
    if stat.S_ISLNK(status.st_mode):
        facts.append("-> " + os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        facts.append(f"{status.st_size} bytes")
        if path.startswith("/usr/"):  # packages' files, hundreds of megabytes: nobody rewrites one without a new time
            facts.append(f"modified {status.st_mtime_ns}")
        else:
            with open(path, "rb") as file:
                facts.append(hashlib.sha256(file.read()).hexdigest()[:16])
    if times and not stat.S_ISDIR(status.st_mode):
        facts.append(f"modified {status.st_mtime_ns} changed {status.st_ctime_ns}")
    found[path] = " ".join(facts)
def walk(top, shallow=False):
    device = os.lstat(top).st_dev
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if path.startswith(moving):
                continue
            try:
                status = os.lstat(path)
                if status.st_dev == device:
                    note(path, status)
            except FileNotFoundError:
                pass
        folders[:] = [] if shallow else [n for n in folders if os.lstat(os.path.join(folder, n)).st_dev == device]
moving = tuple(moving)
walk("/")
for top in volumes:
    if os.path.isdir(top):
        walk(top, shallow=True)
def say(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()
    except FileNotFoundError:
        return "not installed"
for name, argv in {
    "unit files": ["systemctl", "list-unit-files", "--no-legend", "--plain", "--state=enabled,disabled,masked,linked"],
    "running services": ["systemctl", "list-units", "--type=service", "--state=active", "--no-legend", "--plain", "docker*", "container*", "containai*", "sysbox*"],
    "packages": ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n"],
    "accounts": ["sh", "-c", "getent passwd; getent group"],
    "mounts": ["sh", "-c", "cut -d' ' -f2 /proc/mounts | grep -vE '^/(proc|sys|dev|run|var/lib/docker|var/lib/docker-containai|var/lib/containerd)(/|$)'"],
    "links": ["sh", "-c", "ip -o link | cut -d: -f2- | cut -d@ -f1 | grep -v '^ *veth'"],
    "network namespaces": ["ip", "netns"],
    "ip_forward": ["cat", "/proc/sys/net/ipv4/ip_forward"],
}.items():
    found["[" + name + "]"] = "\n".join(sorted(say(*argv).splitlines()))
json.dump(found, sys.stdout)
"""


def take(run: Callable[..., str], *, times: bool = False, ignore: Iterable[str] = LOGS) -> dict[str, str]:
    """Look at the host; `run` runs a command in it, with a text for its standard input."""
    asked = json.dumps([[*MOVING, *BACKUPS, *ignore], VOLUMES, times])
    return dict(json.loads(run("python3", "-IS", "-", asked, stdin=_WALK)))


def difference(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Every path that came, went or changed, a line each."""
    lines = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        # In a test host this is a volume, which the purge of Debian's docker.io unmounts together with all of /var/lib/docker*.
        if old == new or path == "/var/lib/docker-containai":
            continue
        if path.startswith("[") and old is not None and new is not None:
            was, now = set(old.splitlines()), set(new.splitlines())
            lines += [f"- {path} {line}" for line in sorted(was - now)] + [
                f"+ {path} {line}" for line in sorted(now - was)
            ]
        elif old is None:
            lines.append(f"+ {path} {new}")
        elif new is None:
            lines.append(f"- {path} {old}")
        else:
            lines.append(f"~ {path}: {old} => {new}")
    return lines


def parents(paths: Iterable[str]) -> set[str]:
    """All folders above the paths."""
    return {str(above) for path in paths for above in Path(path).parents}
