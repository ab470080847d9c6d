"""One change at a time on a host.

Two runs of ansible-playbook know nothing of each other, and a run that was killed or lost its connection may leave a module at work. So each module
that changes a host waits for the other to end. The kernel frees the lock with the process, however that ends.

The command `cai` names its own process in CAI_RUN. The lock's file keeps it, so that from its first change on a run of `cai` has the host to itself until
its process ends. The file is root's, in a folder of root's: no other user can open it, and so none can hold it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

LOCK = "/run/containai.lock"
RUN = "CAI_RUN"
SYSTEMD = "/run/systemd/system"  # a host without it is refused by the preflight, so setup has changed nothing there
WAIT_SECONDS = 300
_held = []


def hold(module, seconds=None):
    """Keep other modules away until this process ends. Where nothing is changed (check mode, a report, no root's rights) nothing is held."""
    if _held or module.check_mode or module.params.get("report") or os.geteuid() != 0 or not os.path.isdir(SYSTEMD):
        return
    end = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
    run = os.environ.get(RUN, "")
    while True:
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        taken = _taken(fd)
        holder, _, other = os.read(fd, 100).decode("ascii", "replace").partition(" ")
        foreign = other != run and _lives(other)
        if taken and not foreign:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {run}".encode(), 0)
            _held.append(fd)
            return
        os.close(fd)
        if foreign:
            holder = other.partition(":")[0]
        # Of two runs of cai the second ends at once, as it does for one user; a module waits for a module.
        if (foreign and run) or time.monotonic() >= end:
            module.fail_json(
                msg=f"Another run is changing this host (process {holder or 'unknown'}); one at a time is possible.",
                hint=f"look at it with `ps -fp {holder}`, and try again when it has ended" if holder else "try again when it has ended",
                failure="precondition",
            )
        time.sleep(0.1)


def _taken(fd):
    """Take the lock if it is free; a file that an uninstall has removed meanwhile is nobody's lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.stat(LOCK)
    except (BlockingIOError, FileNotFoundError):
        return False
    own = os.fstat(fd)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def _lives(run):
    """Whether the process of a run ("PID:START", the start in the kernel's ticks since the boot) is still there, and not another with its number."""
    pid, _, start = run.partition(":")
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="utf-8", errors="replace") as handle:
            return handle.read().rpartition(")")[2].split()[19] == start
    except (OSError, ValueError, IndexError):
        return False


def remove():
    """Leave no file behind; a module that waits for it makes a new one."""
    while _held:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LOCK)
        os.close(_held.pop())
