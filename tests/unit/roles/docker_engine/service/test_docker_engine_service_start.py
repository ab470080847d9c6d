"""The engine is started, reloaded or restarted, whichever is the least."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.containai_data_root import MARKER, UNUSED, mark

from tests.unit.roles.conftest import Commands, run_module
from tests.unit.roles.docker_engine.service.systemd import HELPERS, UNIT, Service


def test_an_engine_that_is_as_wanted_is_left_alone(module: ModuleType, service: Service) -> None:
    answer = run_module(module, **service.parameters)
    assert not answer["changed"]
    assert answer["actions"] == []
    assert answer["version"] == "28.5.2"
    assert service.changes() == []


@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_a_stopped_engine_is_started_with_its_helpers(module: ModuleType, service: Service, state: str) -> None:
    service.set(ActiveState=state, SubState="auto-restart", UnitFileState="disabled")
    answer = run_module(module, **service.parameters)
    assert answer.actions == [("enable", UNIT), ("start", UNIT)]
    assert service.changes() == [
        ["daemon-reload"],
        ["enable", UNIT],
        ["reset-failed", *HELPERS, UNIT],
        ["restart", *HELPERS, UNIT],
    ]
    assert not run_module(module, **service.parameters)["changed"]


def test_a_disabled_engine_is_enabled_and_not_restarted(module: ModuleType, service: Service) -> None:
    service.set(UnitFileState="disabled")
    assert run_module(module, **service.parameters).actions == [("enable", UNIT)]
    assert service.changes() == [["daemon-reload"], ["enable", UNIT]]


def test_units_that_systemd_has_not_read_are_read_and_the_engine_stays(module: ModuleType, service: Service) -> None:
    """A run that was killed after it had written them, or somebody's edit that was put right."""
    service.set(HELPERS[0], NeedDaemonReload="yes")
    assert run_module(module, **service.parameters).actions == [("reload", "systemd, which goes by older units")]
    assert service.changes() == [["daemon-reload"]]


def test_a_missing_runtime_takes_a_reload_only(module: ModuleType, service: Service) -> None:
    service.knows_after = "reload"
    assert run_module(module, **service.parameters).actions == [("reload", UNIT)]
    assert service.changes() == [["daemon-reload"], ["reload", UNIT]]


def test_a_runtime_of_another_path_is_missing(module: ModuleType, service: Service) -> None:
    service.info["Runtimes"]["sysbox-runc"] = {"path": "/opt/sysbox-runc"}
    assert run_module(module, check_mode=True, **service.parameters).actions == [("reload", UNIT)]


def test_a_reload_that_was_not_taken_becomes_a_restart(module: ModuleType, service: Service) -> None:
    service.knows_after = "restart"
    assert run_module(module, **service.parameters)["changed"]
    assert [call[0] for call in service.changes() if call[0] in ("reload", "restart")] == ["reload", "restart"]


def test_check_mode_says_it_and_does_nothing(module: ModuleType, service: Service) -> None:
    service.set(ActiveState="inactive")
    before = service.units
    answer = run_module(module, check_mode=True, **service.parameters)
    assert answer.actions == [("start", UNIT)]
    assert service.units == before
    assert service.changes() == []
    assert run_module(module, **service.parameters)["actions"] == answer["actions"]


def test_check_mode_without_systemctl(module: ModuleType, service: Service, commands: Commands) -> None:
    (commands.folder / "systemctl").unlink()
    assert run_module(module, check_mode=True, **service.parameters).actions == [("enable", UNIT), ("start", UNIT)]


def test_a_unit_that_does_not_start_is_quoted(module: ModuleType, service: Service) -> None:
    service.set(ActiveState="failed")
    Path(f"{service.path}.broken").touch()
    answer = run_module(module, **service.parameters)
    assert "did not start: Job for containai-network.service failed" in answer["msg"]
    assert "See more" not in answer["msg"]
    assert f"`systemctl status {UNIT}`" in answer["hint"]


@pytest.fixture
def running() -> Any:
    """A process whose environment says which files it was started from."""
    processes = []

    def start(revision: str) -> str:
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"CONTAINAI_REVISION": revision},
        )
        child.stdout.readline()
        processes.append(child)
        return str(child.pid)

    yield start
    for child in processes:
        child.communicate(b"\n")


def test_an_engine_of_older_files_is_restarted(module: ModuleType, service: Service, running: Any) -> None:
    service.set(MainPID=running("old"))
    assert run_module(module, revision="new", check_mode=True, **service.parameters).actions == [("restart", UNIT)]
    service.set(MainPID=running("new"))
    assert run_module(module, revision="new", **service.parameters)["actions"] == []
    assert service.changes() == []


def test_an_engine_whose_environment_is_unknown_is_left(module: ModuleType, service: Service) -> None:
    service.set(MainPID="999999999")
    assert run_module(module, revision="new", **service.parameters)["actions"] == []


def left_by_dockerd(folder: Path) -> None:
    """A database, as a dockerd leaves it that found the disk full."""
    (folder / "network" / "files").mkdir(parents=True)
    (folder / "network" / "files" / "local-kv.db").write_bytes(b"torn")


def test_what_a_first_start_that_failed_left_is_taken_away(
    module: ModuleType, service: Service, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    mark(str(data))
    left_by_dockerd(data)
    (data / "notes").write_text("not the engine's")
    service.set(ActiveState="failed")
    Path(f"{service.path}.broken").touch()
    assert run_module(module, data_root=str(data), **service.parameters)["failed"]
    assert {path.name for path in data.iterdir()} == {MARKER, UNUSED, "notes"}
    assert ["stop", UNIT, *reversed(HELPERS)] in service.changes()


def test_an_engine_that_answered_once_keeps_its_data(module: ModuleType, service: Service, tmp_path: Path) -> None:
    data = tmp_path / "data"
    mark(str(data))
    left_by_dockerd(data)
    assert not run_module(module, data_root=str(data), **service.parameters)["changed"]
    assert not (data / UNUSED).exists()
    service.set(ActiveState="failed")
    Path(f"{service.path}.broken").touch()
    assert run_module(module, data_root=str(data), **service.parameters)["failed"]
    assert (data / "network" / "files" / "local-kv.db").exists()
    assert ["stop", UNIT, *reversed(HELPERS)] not in service.changes()


def test_a_folder_that_holds_data_already_is_never_called_unused(tmp_path: Path) -> None:
    left_by_dockerd(tmp_path)
    mark(str(tmp_path))
    assert not (tmp_path / UNUSED).exists()
