"""The module sysbox_package on a host below the temporary folder, and the parameters of an ordinary run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_deb as deb
from ansible.module_utils import containai_sysbox_host as sysbox_host
from ansible.module_utils import containai_sysbox_rules as rules

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.sysbox.package.host import Host, package


@pytest.fixture
def module(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("sysbox_package")
    for one in (sysbox_host, deb):
        monkeypatch.setattr(one, "PATH", commands.path)
    for name, place in {
        "DROP_IN": "units/sysbox-mgr.service.d/10-containai.conf",
        "DOWNLOADS": "state/downloads",
    }.items():
        monkeypatch.setattr(loaded, name, str(tmp_path / place))
    for one in (loaded, rules):
        monkeypatch.setattr(one, "OTHER_SOCKET", str(tmp_path / "none.sock"))
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(deb, "DOCKER_SETTINGS", str(tmp_path / "etc-docker"))
    monkeypatch.setattr(deb, "SCRATCH", str(tmp_path / "run"))
    monkeypatch.setattr(deb, "PROGRAMS", (str(tmp_path / "sysbox-runc"),))
    (tmp_path / "sysbox-runc").touch()
    monkeypatch.setattr(sysbox_host, "SUBIDS", (str(tmp_path / "subuid"), str(tmp_path / "subgid")))
    return loaded


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands) -> Host:
    return Host(tmp_path, commands)


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "sysbox.deb"
    file.write_bytes(package())
    return {
        "version": "0.7.1", "source": str(file), "sha256": {"amd64": hashlib.sha256(package()).hexdigest()}, "architecture": "amd64",
        "socket": str(tmp_path / "ours.sock"),
    }  # fmt: skip
