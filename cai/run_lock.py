"""The lock that allows one run of a user at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cai import paths
from cai.errors import CaiError, Exit

KEPT_RUNS = 20


@contextlib.contextmanager
def only_run() -> Iterator[Path]:
    """Hold this user's lock and make the run's folder; the kernel frees the lock when the process dies.

    The folder comes after the lock: a refused run touches nothing of the run that holds it.
    The lock of the whole machine is root's, and taken by the modules (containai/lock.py).
    """
    import fcntl

    path = paths.private_folder(paths.state_folder()) / "lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _refused(*lock.read().strip().partition(" ")[::2]) from None
        except OSError as error:
            raise CaiError(
                f"The file {path} cannot be locked: {error.strerror}.",
                hint="run `export XDG_STATE_HOME=/var/tmp/state-$(id -un)`, then try again",
                code=Exit.PRECONDITION,
            ) from error
        folder = paths.new_folder()
        lock.truncate(0)
        lock.write(f"{os.getpid()} {folder / 'stdout'}")
        lock.flush()
        for old in [run for run in paths.run_folders(folder.parent) if run != folder][: -KEPT_RUNS + 1]:
            shutil.rmtree(old, ignore_errors=True)
        yield folder


def this_process() -> str:
    """Name this process for the lock of the machine, as PID:START; empty where there is no /proc."""
    with contextlib.suppress(OSError):
        return f"{os.getpid()}:{Path('/proc/self/stat').read_text(errors='replace').rpartition(')')[2].split()[19]}"
    return ""


def _refused(pid: str, log: str) -> CaiError:
    return CaiError(
        f"Another cai is at work (process {pid or 'unknown'}); one run at a time is possible.",
        hint=f"wait for it, or end it with `kill {pid}`" if pid else "wait for it",
        log=log,
        code=Exit.PRECONDITION,
    )
