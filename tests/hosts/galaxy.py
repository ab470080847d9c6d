"""The few Ansible collections that the scenarios need, out of the `ansible` package on PyPI: Galaxy is not asked."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from . import paths
from .shell import HostError, say

_VERSION = "12.3.0"
_WANTED = ("community/docker", "community/library_inventory_filtering_v1", "community/general", "ansible/posix")


def ensure() -> Path:
    """Unpack them once; returns what to put into ANSIBLE_COLLECTIONS_PATH."""
    target = paths.CACHE / f"collections-{_VERSION}"
    if target.exists():
        return target
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    say(f"fetching four collections from ansible {_VERSION}")
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch:
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*download, "-d", scratch, f"ansible=={_VERSION}"], check=False)
        if done.returncode != 0:
            raise HostError(f"pip cannot download ansible {_VERSION}")
        with zipfile.ZipFile(next(Path(scratch).glob("ansible-*.whl"))) as wheel:
            prefixes = tuple(f"ansible_collections/{name}/" for name in _WANTED)
            wheel.extractall(Path(scratch, "out"), [name for name in wheel.namelist() if name.startswith(prefixes)])
        Path(scratch, "out").rename(target)
    return target
