"""Ends everything a run started. Ansible's workers leave its process group, so the group alone is not enough."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def _table() -> list[tuple[int, int, str]]:
    """List (pid, parent, state) of all processes: from /proc, or from ps where there is none (macOS)."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
        listed = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
        rows = [row.split() for row in listed.stdout.splitlines()]
        return [(int(row[0]), int(row[1]), row[2][0]) for row in rows if len(row) > 2 and row[2][0] != "Z"]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold spaces and parentheses of its own.
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    found.append((int(folder.name), int(fields[1]), fields[0]))
    return found


def descendants(parent: int) -> list[int]:
    """List all processes below one, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, above, _ in _table():
        children.setdefault(above, []).append(pid)
    found: list[int] = []
    level = children.get(parent, [])
    while level:
        found += level
        level = [below for pid in level for below in children.get(pid, [])]
    return found


def naming(text: str) -> list[int]:
    """List the processes that have the text on their command line, but this one."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-A", "-ww", "-o", "pid=,command="]
        listed = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
        found = [int(row.split()[0]) for row in listed.stdout.splitlines() if text in row]
        return [pid for pid in found if pid != os.getpid()]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                if text.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def end_orphans(text: str, as_root: Callable[[list[int]], None]) -> None:
    """End what a killed Ansible has left: its workers, which have its command line, and the modules below them."""
    workers = [pid for pid in naming(text) if _send(pid, signal.SIGSTOP)]  # lest they start a module now
    for pid in workers:
        end_all(pid, as_root)
        _send(pid, signal.SIGKILL)


def end_all(parent: int, as_root: Callable[[list[int]], None], patience: float = 1.2) -> None:
    """Ask the processes below one to end, and make them when they have not within `patience` seconds.

    Those of another user (a module under sudo) are handed to `as_root`, nearest first.
    """
    deadline = time.monotonic() + patience
    found = _frozen(parent)
    busy = {above for _, above, _ in _table()}
    for pid in found[1:]:  # the nearest is Ansible itself: it stays frozen, lest it start a next worker
        if pid not in busy:
            # A module that gets one SIGINT clears away its temporary folder; a second would interrupt that.
            _send(pid, signal.SIGINT)
        _send(pid, signal.SIGCONT)
    for _ in range(2):  # again for what sudo was just starting
        foreign = [pid for pid in descendants(parent) if not _send(pid, 0)]
        if foreign:
            as_root(foreign)
    while _alive(found[1:]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in _alive(found):
        _send(pid, signal.SIGKILL)


def _frozen(parent: int) -> list[int]:
    """Stop all processes below one until no new one appears: what starts after a count would escape it."""
    found: list[int] = []
    for _ in range(20):
        new = [pid for pid in descendants(parent) if pid not in found]
        if not new:
            break
        ours = {pid for pid in new if _send(pid, signal.SIGSTOP)}
        found += new
        deadline = time.monotonic() + 0.3
        # A process stops when it next leaves the kernel, and a fork under way is completed before.
        while time.monotonic() < deadline and any(pid in ours and state not in "Tt" for pid, _, state in _table()):
            time.sleep(0.005)
    return found


def _alive(pids: list[int]) -> list[int]:
    now = {pid for pid, _, _ in _table()} if pids else set()
    return [pid for pid in pids if pid in now]


def _send(pid: int, number: int) -> bool:
    """Send a signal (0 only asks); tell whether that was ours to do."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
