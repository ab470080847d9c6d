"""The look of docker_engine_files, by which a run skips docker_engine_service: it sees whatever that module would mend."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_engine_state
from ansible.module_utils.containai_data_root import mark, used

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.docker_engine.service.systemd import Service

OTHER = {"path": "/usr/bin/other"}
DRIFTS: dict[str, Callable[[Service, Path], None]] = {
    "stopped": lambda service, _: service.set(ActiveState="inactive"),
    "failed": lambda service, _: service.set(ActiveState="failed"),
    "older units in systemd": lambda service, _: service.set(NeedDaemonReload="yes"),
    "no units in systemd": lambda service, _: service.set(LoadState="not-found"),
    "not at boot": lambda service, _: service.set(UnitFileState="disabled"),
    "silent": lambda service, _: setattr(service, "info", None),
    "without the runtime": lambda service, _: setattr(service, "info", {"Runtimes": {}}),
    "with another runtime": lambda service, _: setattr(service, "info", {"Runtimes": {"sysbox-runc": OTHER}}),
    "without its network": lambda _, folder: (folder / "broken").touch(),
    "with an open socket": lambda service, _: Path(service.engine.path).chmod(0o666),
}


@pytest.fixture
def parameters(
    module: ModuleType, service: Service, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """What both modules are told about an engine that is as wanted."""
    monkeypatch.setattr(containai_engine_state, "NETNS", "/proc/self/ns/net")
    monkeypatch.setattr(containai_engine_state, "group_name", lambda gid: "containai")
    service.set(MainPID=str(os.getpid()))
    Path(service.engine.path).chmod(0o660)
    mark(str(tmp_path / "data"))
    used(str(tmp_path / "data"))
    network = commands.add("network", f"[ ! -e {tmp_path}/broken ] || {{ echo 'cai0 is missing'; exit 1; }}")
    told = ("unit", "socket", "runtimes")
    return {
        **{key: service.parameters[key] for key in told},
        "check": [str(network), "check"],
        "data_root": str(tmp_path / "data"),
    }


def ready(parameters: dict[str, object]) -> bool:
    return bool(run_module(load_module("docker_engine_files"), files=[], **parameters)["ready"])


def planned(module: ModuleType, service: Service, parameters: dict[str, object]) -> bool:
    more = {key: service.parameters[key] for key in ("helpers", "timeout")}
    return bool(run_module(module, check_mode=True, group="containai", **parameters, **more)["actions"])


@pytest.fixture
def outdated(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether the engine was started from these files."""
    return lambda value: monkeypatch.setattr(containai_engine_state, "outdated", lambda state, revision: value)


def test_an_engine_that_is_as_wanted_needs_nothing(module, service, parameters, outdated) -> None:
    outdated(False)
    assert ready(parameters)
    assert not planned(module, service, parameters)


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_the_service_module_would_mend_is_seen(module, service, parameters, outdated, tmp_path, drift) -> None:
    outdated(False)
    DRIFTS[drift](service, tmp_path)
    assert planned(module, service, parameters)
    assert not ready(parameters)


def test_an_engine_in_another_namespace_is_not_as_wanted(module, service, parameters, outdated, monkeypatch) -> None:
    outdated(False)
    monkeypatch.setattr(containai_engine_state, "NETNS", "/nonexistent")
    assert planned(module, service, parameters)
    assert not ready(parameters)


def test_an_engine_of_other_files_is_not_as_wanted(parameters, outdated) -> None:
    outdated(True)
    assert not ready(parameters)


def test_a_first_start_that_was_cut_off_is_not_as_wanted(parameters, outdated, tmp_path) -> None:
    outdated(False)
    (tmp_path / "data/.containai-unused").touch()
    assert not ready(parameters)


def test_files_that_were_written_take_a_look_at_the_service(parameters, outdated, tmp_path) -> None:
    outdated(False)
    answer = run_module(
        load_module("docker_engine_files"),
        files=[{"path": str(tmp_path / "file"), "content": "x", "mode": "0644"}],
        restart_containers=True,
        **parameters,
    )
    assert answer["changed"]
    assert not answer["ready"]
