"""A restart or stop of the engine asks the guard first: running containers and an engine without an answer end the run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_engine_health
from ansible.module_utils.containai import running

from tests.unit.roles.conftest import load_module, run_module
from tests.unit.roles.docker_engine.service.systemd import UNIT, Service

AGENT = [{"Id": "1", "Names": ["/agent"]}]


@pytest.fixture(autouse=True)
def quick(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT", 0.2)
    monkeypatch.setattr(containai_engine_health, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(running, "shims", list)
    monkeypatch.setattr(module, "shims", list)


@pytest.fixture
def slow(service: Service, sockets: Path) -> Iterator[dict[str, Any]]:
    """The engine's process is stopped: connections are accepted, nothing is answered."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sockets / "slow"))
        listener.listen()
        yield {**service.parameters, "socket": str(sockets / "slow")}


@pytest.mark.parametrize("check_mode", [True, False])
def test_an_engine_of_older_files_with_containers_is_not_restarted(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch, check_mode: bool
) -> None:
    monkeypatch.setattr(module, "outdated", lambda *_: True)
    service.containers = AGENT
    answer = run_module(module, check_mode=check_mode, **service.parameters)
    assert answer["failure"] == "precondition"
    assert "agent" in answer["msg"]
    assert "docker_engine_restart_containers=true" in answer["hint"]
    assert service.changes() == []


def test_it_is_restarted_where_that_is_allowed(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "outdated", lambda *_: True)
    service.containers = AGENT
    assert run_module(module, restart_containers=True, **service.parameters).actions == [("restart", UNIT)]


def test_an_engine_whose_socket_is_gone_is_known_by_its_shims(
    module: ModuleType, service: Service, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "shims", lambda: [{"id": "1", "name": "agent", "shim": True}])
    answer = run_module(module, **{**service.parameters, "socket": str(sockets / "none")})
    assert answer["failure"] == "precondition"
    assert service.changes() == []


def test_a_reload_that_was_not_taken_does_not_end_containers(module: ModuleType, service: Service) -> None:
    service.knows_after = "restart"
    service.containers = AGENT
    assert run_module(module, **service.parameters)["failure"] == "precondition"
    assert [call[0] for call in service.changes()] == ["daemon-reload", "reload"]


@pytest.mark.parametrize("more", [{}, {"state": "stopped"}, {"state": "stopped", "stop_containers": True}])
def test_an_engine_that_does_not_answer_is_neither_restarted_nor_stopped(
    module: ModuleType, service: Service, slow: dict[str, Any], more: dict[str, Any]
) -> None:
    answer = run_module(module, **slow, **more)
    assert answer["failure"] == "failed"
    assert "What runs in it is unknown" in answer["msg"]
    assert service.changes() == []


def test_the_health_report_calls_it_unknown(slow: dict[str, Any]) -> None:
    chosen = {key: value for key, value in slow.items() if key not in ("runtimes", "timeout")}
    findings = run_module(load_module("docker_engine_info"), gather_subset=["engine"], report=True, **chosen)[
        "findings"
    ]
    assert [(one["part"], one["status"]) for one in findings] == [("socket", "fail"), ("engine", "unknown")]
    assert "restart" not in findings[1]["hint"]


def test_a_start_that_is_under_way_is_waited_for(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.set(ActiveState="activating", SubState="start")
    monkeypatch.setattr(module.time, "sleep", lambda _: service.set(ActiveState="active"))
    assert run_module(module, **service.parameters)["actions"] == []
    assert service.changes() == []


def test_containers_that_outlive_the_engine_are_told(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.containers = AGENT
    service.engine.answers["/containers/1/stop?t=10"] = {}
    monkeypatch.setattr(module, "shims", lambda: [{"id": "1", "name": "1", "shim": True}])
    monkeypatch.setattr(module.outlived, "__defaults__", (0,))
    answer = run_module(module, state="stopped", stop_containers=True, **service.parameters)
    assert "run on without their engine" in answer["msg"]
    assert f"systemctl start {UNIT}" in answer["hint"]
