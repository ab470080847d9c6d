"""Ends everything a run started. Ansible's workers leave its process group, so the group alone is not enough."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


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


def descendants(*parents: int) -> list[int]:
    """List all processes below some, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, above, _ in _table():
        children.setdefault(above, []).append(pid)
    found: list[int] = []
    level = [below for pid in parents for below in children.get(pid, [])]
    while level:
        found += level
        level = [below for pid in level for below in children.get(pid, [])]
    return list(dict.fromkeys(found))


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
    ansible = descendants(parent)[:1]  # it stays frozen, lest it start a next worker
    with _adopting():
        asked = _ask(parent, ansible, as_root)
        while (left := _left(parent, asked, ansible)) and time.monotonic() < deadline:
            asked = left  # with what a module has begun since, to clear away: that has the same patience, and no signal
            time.sleep(0.02)
        for _ in range(20):  # a process that ends may leave a child
            for pid in left:
                _send(pid, signal.SIGKILL)
            left = [pid for pid in _left(parent, left, ansible) if _send(pid, 0)]
            if not left:
                break
            time.sleep(0.02)
    for pid in _alive(ansible):
        _send(pid, signal.SIGKILL)


def _ask(parent: int, spared: list[int], as_root: Callable[[list[int]], None]) -> list[int]:
    """Freeze all below one, and let all but the spared go on with the wish to end; list these."""
    asked = [pid for pid in _frozen(parent) if pid not in spared]
    busy = {above for _, above, _ in _table()}
    for pid in asked:
        if pid not in busy:
            # A module that gets one SIGINT clears away its temporary folder; a second would interrupt that.
            _send(pid, signal.SIGINT)
        _send(pid, signal.SIGCONT)
    for _ in range(2):  # again for what sudo was just starting
        foreign = [pid for pid in descendants(parent) if not _send(pid, 0)]
        if foreign:
            as_root(foreign)
    return asked


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Make what outlives its parent a child of this process, where the system can (Linux), and of init's no longer.

    Not during the whole run: a virtual machine that a finished step has started is meant to stay.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        yield
        return
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


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


def _left(parent: int, asked: list[int], spared: list[int]) -> list[int]:
    """List what is alive of the processes that were asked, and all below.

    In two looks: a process whose parent ends while the table is read is below neither the old parent nor the new one.
    """
    found = [pid for _ in range(2) for pid in (*descendants(parent, *asked), *asked)]
    return [pid for pid in _alive(list(dict.fromkeys(found))) if pid not in spared]


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
