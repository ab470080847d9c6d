"""What an ordinary user is to read and run: where it is, or linked to where he can reach it (a checkout may be below root's home)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

NOBODY = 65534


def as_nobody() -> dict[str, Any]:
    """subprocess's words for somebody ordinary; who is that himself stays who he is."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def reachable(path: Path) -> bool:
    """Whether somebody ordinary can read it."""
    return subprocess.run(["test", "-r", path], check=False, cwd="/", **as_nobody()).returncode == 0


def _link(source: str, target: str) -> None:
    with contextlib.suppress(OSError):  # another file system
        os.link(source, target)
        return
    shutil.copy2(source, target)


def within_reach(path: Path, room: Path) -> Path:
    """The file or folder where it can be read: itself, or a twin of it in `room`, which everybody may enter."""
    if reachable(path):
        return path
    twin = room / path.name
    if path.is_dir():
        shutil.copytree(path, twin, copy_function=_link, dirs_exist_ok=True)
    else:
        _link(str(path), str(twin))
    return twin
