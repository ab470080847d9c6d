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


def remove():
    """Leave no file behind; whoever waits for it takes a new one."""
    while _held:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LOCK)
        os.close(_held.pop())
