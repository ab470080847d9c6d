"""Images, containers and volumes go at a purge alone, and from no folder but an engine's own."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_data_root as places

from tests.unit.roles.conftest import run_module
from tests.unit.roles.docker_engine.removal.host import Host, made, note, remove


def test_data_stays_unless_it_is_purged(module: ModuleType, host: Host) -> None:
    answer = remove(module, host)
    assert (host.data_root / "volume").read_text() == "mine"
    assert any("`cai uninstall --purge`" in line for line in answer["notes"])
    remove(module, host, check_mode=True, purge=True)
    assert host.data_root.exists()
    assert remove(module, host, purge=True)["changed"]
    assert not host.data_root.exists()


def test_a_purged_mount_point_is_open_again(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of the next setup, by who is not root, must see that it is empty."""

    real = os.rmdir

    def busy(path: str, **more: Any) -> None:
        if path == str(host.data_root):
            raise OSError(16, "Device or resource busy", path)
        real(path, **more)

    monkeypatch.setattr(module.os, "rmdir", busy)
    host.data_root.chmod(0o710)
    remove(module, host, purge=True)
    assert list(host.data_root.iterdir()) == []
    assert host.data_root.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("wrong", ["/", "/home", "/var/lib", "/etc", "folder"])
def test_a_folder_without_our_mark_survives_a_purge(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    (tmp_path / "folder" / "photos").mkdir(parents=True)
    (tmp_path / "folder" / "containerd").mkdir()
    removed: list[str] = []
    monkeypatch.setattr(module, "empty", removed.append)  # lest a mistake be paid for with the machine
    monkeypatch.setattr(module, "mark", removed.append)
    answer = run_module(module, purge=True, data_root=str(tmp_path / wrong))
    assert removed == []
    assert any("no mark of an engine of ours" in line for line in answer["notes"])


def test_a_purge_goes_by_the_record_as_well(module: ModuleType, host: Host, tmp_path: Path) -> None:
    note(data_roots=[str(host.data_root), str(tmp_path / "gone")])
    answer = run_module(module, purge=True, data_root="/var/lib/docker-containai-none")
    assert answer.actions[0] == ("remove", f"{host.data_root} (images, containers, volumes)")
    assert not host.data_root.exists()


@pytest.mark.parametrize("more", ["", "photos"])
def test_data_from_before_the_mark(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """The unit, which goes first, tells whose they are; not where files of the user's are beside them."""
    root, unit = tmp_path / "data", tmp_path / "unit"
    (root / "containerd").mkdir(parents=True)
    (root / more).mkdir(exist_ok=True)
    monkeypatch.setattr(places, "UNIT", str(unit))
    made(unit, None, f"ExecStart=dockerd --data-root {root} --pidfile /x\n".encode())
    run_module(module, data_root=str(root))
    assert not unit.exists()
    run_module(module, purge=True, data_root=str(root))
    assert root.exists() == bool(more)


def test_an_interrupted_purge_goes_on(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "unlink", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            module.empty(str(host.data_root))
    assert module.is_ours(str(host.data_root))
    assert remove(module, host, purge=True)["changed"]
    assert not host.data_root.exists()
