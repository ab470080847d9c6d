"""Whether root can read what it has to: a file system may be closed to it, for all its rights."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from cai import paths
from cai.errors import CaiError, Exit

MOUNTS = Path("/proc/self/mountinfo")
_ELSEWHERE = (
    "run `sudo python3 -m venv /opt/cai && sudo /opt/cai/bin/pip install SOURCE` with a clone or a wheel "
    "that root can read, then `/opt/cai/bin/cai setup`"
)


def check() -> None:
    """Refuse an environment or a home on a FUSE mount that is closed to root. Needs no root itself."""
    mounts = _closed()
    for path, hint in _needed():
        mount = next((name for name in mounts if path == name or path.startswith(name.rstrip("/") + "/")), None)
        if mount:
            raise _unreadable(path, f"the FUSE file system at {mount} is open to its user alone", hint)


def refused(said: str) -> CaiError:
    """Describe an environment that root was seen not to be able to run (NFS with root_squash, an encrypted home)."""
    reason = said.strip().rpartition(": ")[2] or "its file system is closed to root"
    return _unreadable(sys.executable, reason, _ELSEWHERE)


def _unreadable(path: str, reason: str, hint: str) -> CaiError:
    return CaiError(
        f"Root cannot read {path}, which this needs: {reason}. Nothing was changed.", hint=hint, code=Exit.PRECONDITION
    )


def _needed() -> list[tuple[str, str]]:
    """List what root reads during a run, by its real path, each with the way out."""
    settings = os.environ.get("DOCKER_CONFIG") or str(paths.home() / ".docker")
    needed = [(path, _ELSEWHERE) for path in (sys.executable, sys.prefix, sys.base_prefix)]
    needed.append((tempfile.gettempdir(), "run `TMPDIR=/tmp cai setup`"))
    needed.append((settings, "run `export DOCKER_CONFIG=FOLDER` with a folder that root can read, then `cai setup`"))
    return [(os.path.realpath(path), hint) for path, hint in needed]


def _closed() -> list[str]:
    """List the mount points of the FUSE file systems that root may not enter."""
    try:
        rows = [row.split() for row in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []
    found: dict[str, bool] = {}
    for row in rows:
        if "-" in row[6:]:
            kind, options = row[row.index("-", 6) + 1], set(row[-1].split(","))
            path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), row[4])
            closed = kind.startswith("fuse") and not options & {"allow_other", "user_id=0"}
            found[path] = closed and any(option.startswith("user_id=") for option in options)
    return [path for path, closed in found.items() if closed]
