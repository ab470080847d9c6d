"""A Mac made of stand-ins, and the preflight on it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Run, load
from ..mac import STANDINS, install

Call = Callable[..., dict[str, Any]]
Usage = namedtuple("Usage", "total used free")


class Mac:
    """A Mac made of stand-ins: a PATH, the places where Homebrew may be, a home."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.bin, self.monkeypatch = root, root / "bin", monkeypatch
        self.home = root / "h"
        for folder in (self.bin, self.home, root / "native", root / "intel"):
            folder.mkdir()
        for name in ("uname", "sw_vers", "sysctl"):
            shutil.copy(STANDINS / "mac", self.bin / name)
        self.module = load("lima_vm_preflight")
        self.places = {"aarch64": str(root / "native/brew"), "x86_64": str(root / "intel/brew")}
        monkeypatch.setattr(self.module, "BREW", self.places)
        monkeypatch.setattr(self.module, "DOCKER_DIRS", (str(root / "desktop"),))
        monkeypatch.setattr(self.module.os, "geteuid", lambda: 501)
        monkeypatch.setattr(self.module.shutil, "disk_usage", lambda _: Usage(0, 0, 50 << 30))
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.delenv("LIMA_HOME", raising=False)
        self.set_path(self.bin)

    def set_path(self, *folders: Path) -> None:
        # The first python3 on PATH may be a version manager's script, which finds nothing on this PATH.
        for program in (Path(sys.executable).resolve(), Path("/bin/sh"), Path("/usr/bin/env")):
            link = self.bin / ("python3" if program.name.startswith("python") else program.name)
            if not link.exists():
                link.symlink_to(program)
        self.monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))

    def put(self, name: str, where: str) -> Path:
        folder = self.root / where
        folder.mkdir(exist_ok=True)
        install(name, folder)
        return folder / name


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mac]:
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as root:  # pytest's own folders are too long for a socket
        yield Mac(Path(root), monkeypatch)


@pytest.fixture
def look(run: Run, mac: Mac) -> Call:
    def call(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run(mac.module, check, name="containai-secure", **arguments)

    return call
