"""Where everything that the tests make is kept: below `.cache/`, which git ignores."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).resolve().parent / "files"
CACHE = Path(os.environ.get("CAI_TEST_CACHE") or ROOT / ".cache")
IMAGES = CACHE / "images"
STATE = CACHE / "hosts"

# A sockaddr_un holds 108 bytes, and containerd appends to what we give it.
_LONGEST_RUN_DIR = 60


def tag() -> str:
    """A short name for this checkout, so that two checkouts on one machine do not meet."""
    return hashlib.sha256(str(CACHE).encode()).hexdigest()[:6]


def run_dir() -> Path:
    """Folder of the sockets: in the cache, or in the temporary folder when that path would be too long."""
    inside = CACHE / "run"
    path = inside if len(str(inside)) <= _LONGEST_RUN_DIR else Path(tempfile.gettempdir()) / f"cai-hosts-{tag()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
