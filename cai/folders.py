"""Folders of the user: settings, run folders, and the lock that allows one run at a time."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cai.errors import CaiError, Exit, no_room

KEPT_RUNS = 20
# What root runs comes from these, whatever PATH it was given.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def sudo_user() -> str:
    """Name who typed `sudo cai ...`; empty when nobody did."""
    name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    return "" if name == "root" else name


def config_file() -> Path:
    """Name the settings file; under sudo, that of the user who typed it."""
    if sudo_user():
        with contextlib.suppress(KeyError):
            return Path(pwd.getpwnam(sudo_user()).pw_dir, ".config", "containai", "config.yml")
    return _xdg("XDG_CONFIG_HOME", ".config") / "config.yml"


def state_folder() -> Path:
    """Name the folder of runs and lock; under sudo root's own, so that the user's stays his."""
    if sudo_user():
        return Path(pwd.getpwuid(0).pw_dir, ".local", "state", "containai")
    return _xdg("XDG_STATE_HOME", ".local/state")


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification says that relative values are to be ignored.
    return (Path(value) if value.startswith("/") else home() / default) / "containai"


def home() -> Path:
    """Name the home folder; a HOME that depends on the working directory is none."""
    named = os.environ.get("HOME", "")
    return Path(named if named.startswith("/") else pwd.getpwuid(os.geteuid()).pw_dir)


def last_run() -> Path | None:
    """Find the newest run folder; under sudo, also among those of the user who typed it."""
    parents = [state_folder()]
    if sudo_user():
        with contextlib.suppress(KeyError):
            parents.append(Path(pwd.getpwnam(sudo_user()).pw_dir, ".local", "state", "containai"))
    # One that ended before Ansible said anything (at the password) has no log.
    runs = [run for parent in parents for run in _runs(parent / "runs") if (run / "stdout").is_file()]
    return max(runs, key=lambda run: run.name, default=None)


def _runs(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _private(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise no_room(error) or CaiError(
            f"The folder {path} cannot be made: {error.strerror}.",
            hint=f'run `sudo chown -R "$(id -un)" {path.parent}`, or set XDG_STATE_HOME',
            code=Exit.PRECONDITION,
        ) from error
    return path


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make the folder of a run that leaves no trace; it vanishes with the run."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="cai-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def only_run() -> Iterator[Path]:
    """Hold this user's lock and make the run's folder; the kernel frees the lock when the process dies.

    The folder comes after the lock: a refused run touches nothing of the run that holds it.
    The lock of the whole machine is root's, and taken by the modules (containai/lock.py).
    """
    import fcntl

    path = _private(state_folder()) / "lock"
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
        folder = new_folder()
        lock.truncate(0)
        lock.write(f"{os.getpid()} {folder / 'stdout'}")
        lock.flush()
        for old in [run for run in _runs(folder.parent) if run != folder][: -KEPT_RUNS + 1]:
            shutil.rmtree(old, ignore_errors=True)
        yield folder


def new_folder() -> Path:
    """Make a folder among those of the runs."""
    folder = _private(state_folder() / "runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder


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
