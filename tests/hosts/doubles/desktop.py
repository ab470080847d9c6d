"""Puts the DOUBLE of Docker Desktop's WSL integration into a host."""

from __future__ import annotations

from pathlib import Path

from .. import host

_PARTS = Path(__file__).resolve().parent / "desktop_parts"


def install(name: str, user: str = "dev") -> None:
    """Make the host look like a distro with Docker Desktop's WSL integration switched on for that user."""
    host.execute(name, "rm", "-rf", "/root/desktop-double")
    host.copy(name, _PARTS, "/root/desktop-double")
    host.execute(name, "sh", "/root/desktop-double/install.sh", user)
