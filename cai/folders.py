"""Folders of the user: settings, run folders, and the lock that lets one run at a time through."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cai.errors import CaiError, Exit, no_room

MACHINE = "/run/lock"  # there on every Linux, and open to every user
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
    runs = [run for parent in parents for run in _runs(parent / "runs")]
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
def run_folder(*, temporary: bool) -> Iterator[Path]:
    """Make a run's own folder: one that vanishes for a dry run, one of the last twenty otherwise."""
    if temporary:
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="cai-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    runs = _private(state_folder() / "runs")
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    for old in _runs(runs)[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    yield folder


@contextlib.contextmanager
def only_run(log: Path) -> Iterator[None]:
    """Hold the lock of this machine's user; the kernel frees it when the process dies, however it dies."""
    import fcntl

    path = _private(state_folder()) / "lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            pid, _, other = lock.read().strip().partition(" ")
            raise CaiError(
                f"Another cai is at work (process {pid or 'unknown'}); one run at a time is possible.",
                hint=f"wait for it, or end it with `kill {pid}`" if pid else "wait for it",
                log=other,
            ) from None
        with _machine():
            lock.truncate(0)
            lock.write(f"{os.getpid()} {log}")
            lock.flush()
            yield


@contextlib.contextmanager
def _machine() -> Iterator[None]:
    """Keep the runs of other users away, `sudo cai` above all.

    On a Mac all that is changed is the user's own, and stub content changes no machine.
    """
    import fcntl

    own = os.uname().sysname == "Darwin" or "CAI_CONTENT" in os.environ
    try:
        folder = -1 if own else os.open(MACHINE, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        folder = -1
    if folder < 0:
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = _holder(os.fstat(folder).st_ino)
        os.close(folder)
        raise CaiError(
            f"Another user's cai is at work (process {pid or 'unknown'}); one run at a time is possible.",
            hint=f"wait for it, or look at it with `ps -fp {pid}`" if pid else "wait for it",
        ) from None
    try:
        yield
    finally:
        os.close(folder)


def _holder(inode: int) -> str:
    """Find the process that holds the lock, by the kernel's own list."""
    with contextlib.suppress(OSError):
        for fields in map(str.split, Path("/proc/locks").read_text(encoding="ascii").splitlines()):
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                return fields[4]
    return ""
