"""A home in which Docker Desktop is in use, and what must not change there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def digest(context: str) -> str:
    """How the docker CLI names a context's folder."""
    return hashlib.sha256(context.encode()).hexdigest()


def furnish(home: Path) -> None:
    """Put Docker Desktop's settings there, its context being the active one."""
    meta = home / ".docker/contexts/meta" / digest("desktop-linux")
    meta.mkdir(parents=True)
    endpoint = {
        "Name": "desktop-linux",
        "Metadata": {"Description": "Docker Desktop"},
        "Endpoints": {"docker": {"Host": f"unix://{home}/.docker/run/docker.sock"}},
    }
    (meta / "meta.json").write_text(json.dumps(endpoint))
    (home / ".docker/config.json").write_text(
        '{\n\t"auths": {},\n\t"credsStore": "desktop",\n\t"currentContext": "desktop-linux"\n}'
    )
    (home / ".docker/daemon.json").write_text('{"builder":{"gc":{"enabled":true}}}')


def state(folder: Path, leave_out: str = "") -> dict[str, str]:
    """Every file below the folder, byte for byte, with its mode and time; but none whose path holds `leave_out`."""
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and not (leave_out and leave_out in str(path))
    ]
    return {
        str(path): f"{path.stat().st_mode:o} {path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    }
