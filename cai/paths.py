"""Paths of the user: the settings file, and the folders of runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cai.errors import CaiError, Exit, no_room

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
    runs = [run for parent in parents for run in run_folders(parent / "runs") if (run / "stdout").is_file()]
    return max(runs, key=lambda run: run.name, default=None)


def run_folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def private_folder(path: Path) -> Path:
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
    """Make a folder that is removed after the run; its path is short enough for ssh's sockets."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="cai-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_folder() -> Path:
    """Make a folder among those of the runs."""
    folder = private_folder(state_folder() / "runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder
