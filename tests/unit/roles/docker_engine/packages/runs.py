"""Runs of docker_engine_packages with either source, and what they left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.unit.roles.conftest import Commands, run_module

HOST = {"distribution": "debian", "codename": "trixie", "architecture": "amd64"}


def distro(module: ModuleType, check: bool = False, **more: Any) -> Any:
    return run_module(module, check_mode=check, source="distro", host=HOST, **more)


def installs(commands: Commands) -> list[list[str]]:
    """The packages named in each apt-get install."""
    calls = [call for call in commands.of("apt-get") if "install" in call and "--simulate" not in call]
    return [
        [word for word in call[call.index("install") + 1 :] if not word.startswith("-") and "::" not in word]
        for call in calls
    ]


def fingerprint(gnupg: Callable[..., bytes], name: str) -> str:
    listing = gnupg("--with-colons", "--list-keys", f"{name}@example.org").decode()
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))


def docker(module: ModuleType, url: str, wanted: str, check: bool = False) -> Any:
    return run_module(
        module, check_mode=check, source="docker", host=HOST,
        apt_url="https://mirror.example.org/linux/{distribution}", apt_key_url=url, apt_key_fingerprint=wanted,
    )  # fmt: skip


def key_file(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "debian.gpg"
    path.write_bytes(data)
    return f"file://{tmp_path}/{{distribution}}.gpg"
