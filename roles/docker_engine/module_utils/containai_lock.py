"""One change at a time on a host.

Two runs of ansible-playbook know nothing of each other, and a run that was killed or lost its connection may leave a module at work. So each module of ours
that changes a host waits for the other to end. The kernel frees the lock with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

LOCK = "/run/containai.lock"
APT_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
SYSTEMD = "/run/systemd/system"  # a host without it is refused by the preflight, and has nothing of ours
WAIT_SECONDS = 300
_held = []


def hold(module, seconds=None):
    """Keep other modules away until this process ends. Where nothing is changed (check mode, a report, no root's rights) nothing is held."""
    if _held or module.check_mode or module.params.get("report") or os.geteuid() != 0 or not os.path.isdir(SYSTEMD):
        return
    end = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
    while True:
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if _taken(fd):
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}".encode())
            _held.append(fd)
            return
        holder = os.read(fd, 20).decode("ascii", "replace")
        os.close(fd)
        if time.monotonic() >= end:
            module.fail_json(
                msg=f"Another run is changing this host (process {holder or 'unknown'}), and did not end within {WAIT_SECONDS} seconds; one at a time is possible.",
                hint=f"look at it with `ps -fp {holder}`, and try again when it has ended" if holder else "try again when it has ended",
                failure="precondition",
            )
        time.sleep(0.1)


def _taken(fd):
    """Take the lock if it is free; one whose file was taken away meanwhile (by an uninstall) is nobody's."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.stat(LOCK)
    except (BlockingIOError, FileNotFoundError):
        return False
    own = os.fstat(fd)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def apt_holder(locks="/proc/locks"):
    """Say who holds one of apt's locks, such as ", process 4711 (unattended-upgr) holds its lock"; nothing when nobody does. apt itself does not after having waited."""
    inodes = {os.stat(path).st_ino for path in APT_LOCKS if os.path.exists(path)}
    with open(locks, encoding="ascii") as listed:
        for fields in map(str.split, listed):  # 1: POSIX ADVISORY WRITE 4711 fe:00:1234 0 EOF
            if fields[1] == "POSIX" and fields[4] not in ("0", str(os.getpid())) and int(fields[5].rpartition(":")[2]) in inodes:
                name = "unknown"
                with contextlib.suppress(OSError), open(f"/proc/{fields[4]}/comm", encoding="utf-8", errors="replace") as handle:
                    name = handle.read().strip()
                return f", process {fields[4]} ({name}) holds its lock"
    return ""


def apt_hint(holder):
    """What to type after an apt-get that failed while `holder` held its lock, or nobody."""
    if holder:
        return f"look at it with `ps -fp {holder.split()[2]}`, and try again when it has ended; to wait longer: `-e docker_engine_apt_wait=900`"
    return "run `sudo apt-get update && sudo apt-get --fix-broken install`, then try again"


def remove():
    """Leave no file behind; whoever waits for it takes a new one."""
    while _held:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LOCK)
        os.close(_held.pop())
