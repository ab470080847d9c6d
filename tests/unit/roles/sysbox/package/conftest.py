"""The module sysbox_package on a host below the temporary folder, and the parameters of an ordinary run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_containers as containers
from ansible.module_utils import containai_sysbox_deb as deb
from ansible.module_utils import containai_sysbox_host as sysbox_host
from ansible.module_utils import containai_sysbox_rules as rules
from ansible.module_utils import containai_sysbox_units as units
from ansible.module_utils.containai import running

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.sysbox.package.host import Host, package


@pytest.fixture
def module(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("sysbox_package")
    monkeypatch.setattr(loaded, "DOWNLOADS", str(tmp_path / "state/downloads"))
    monkeypatch.setattr(units, "SYSTEMD", str(tmp_path / "units"))
    monkeypatch.setattr(units, "PROGRAMS", str(tmp_path / "programs"))
    monkeypatch.setattr(rules, "OTHER_SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.setattr(containers, "FILES", str(tmp_path / "sysboxfs"))
    monkeypatch.setattr(containers, "MOUNTS", str(tmp_path / "mountinfo"))
    (tmp_path / "mountinfo").touch()
    monkeypatch.setattr(running, "CONTAINERD", str(tmp_path / "containerd.sock"))  # no shim of this machine's
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
        "socket": str(tmp_path / "ours.sock"), "data_roots": ["/var/lib/docker-containai"], "program": "#!/bin/sh\n",
    }  # fmt: skip


@pytest.fixture
def drop_in(module: ModuleType, tmp_path: Path) -> Path:
    """What sysbox-mgr is told."""
    return tmp_path / "units/sysbox-mgr.service.d/10-containai.conf"


@pytest.fixture
def made(module: ModuleType, tmp_path: Path) -> list[tuple[str, str]]:
    """The actions of a run that puts all files of the role there."""
    names = (
        "sysbox-mgr.service.d/10-containai.conf",
        "sysbox-fs.service.d/10-containai.conf",
        "containai-sysbox-retry.service",
    )
    paths = [
        tmp_path / "programs/repair-layers",
        *(tmp_path / "units" / name for name in ("containai-sysbox-repair.service", *names)),
    ]
    return [("create", str(path)) for path in paths]


@pytest.fixture
def mounts(module: ModuleType, tmp_path: Path, commands: Commands) -> Callable[..., None]:
    """Have sysbox-fs serve these containers, or have left mounts for the dead ones."""

    def mount(*served: str, dead: tuple[str, ...] = ()) -> None:
        alive = "\n".join(f"1 2 0:60 / {tmp_path}/sysboxfs/{name} rw - fuse sysboxfs rw" for name in served)
        lines = [f"1 2 0:60 / {tmp_path}/sysboxfs/{name} rw - fuse sysboxfs rw" for name in (*served, *dead)]
        (tmp_path / "mountinfo").write_text("\n".join(lines))
        said = "; ".join(
            f"case $3 in *{name}) echo 'stat: Transport endpoint is not connected' >&2; exit 1;; esac" for name in dead
        )
        commands.add("stat", said or ":")
        commands.add("umount", f"printf %s '{alive}' >{tmp_path}/mountinfo")

    return mount
