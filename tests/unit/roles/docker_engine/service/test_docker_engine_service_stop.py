"""The engine and its helpers are stopped, but not under running containers."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import run_module
from tests.unit.roles.docker_engine.service.systemd import HELPERS, UNIT, Service


def test_stopping_disables_engine_and_helpers(module: ModuleType, service: Service) -> None:
    plan = run_module(module, check_mode=True, state="stopped", **service.parameters)
    assert service.changes() == []
    answer = run_module(module, state="stopped", **service.parameters)
    assert answer.actions == plan.actions == [("stop", UNIT), ("stop", HELPERS[1]), ("stop", HELPERS[0])]
    assert {unit["ActiveState"] for unit in service.units.values()} == {"inactive"}
    assert not run_module(module, state="stopped", **service.parameters)["changed"]


def test_one_that_was_stopped_already_is_disabled(module: ModuleType, service: Service) -> None:
    """Its link for the boot would lead nowhere once its file is gone."""
    service.set(ActiveState="inactive")
    for helper in HELPERS:
        service.set(helper, ActiveState="inactive", UnitFileState="static")
    plan = run_module(module, check_mode=True, state="stopped", **service.parameters)
    assert service.changes() == []
    answer = run_module(module, state="stopped", **service.parameters)
    assert answer.actions == plan.actions == [("disable", UNIT)]
    assert service.units[UNIT]["UnitFileState"] == "disabled"
    assert not run_module(module, state="stopped", **service.parameters)["changed"]


def test_a_helper_that_was_never_written_is_not_missed(module: ModuleType, service: Service) -> None:
    service.write({UNIT: service.units[UNIT]})
    assert run_module(module, state="stopped", **service.parameters).actions == [("stop", UNIT)]


def test_stopping_is_refused_while_containers_run(module: ModuleType, service: Service) -> None:
    service.containers = [{"Id": "1", "Names": ["/agent"]}]
    answer = run_module(module, state="stopped", **service.parameters)
    assert answer["failure"] == "precondition"
    assert "agent" in answer["msg"]
    assert f"`docker --host unix://{service.parameters['socket']} stop agent`" in answer["hint"]
    assert service.changes() == []
    service.engine.answers["/containers/1/stop?t=10"] = lambda: service.changes()
    assert run_module(module, state="stopped", stop_containers=True, **service.parameters)["changed"]
    assert "/containers/1/stop?t=10" in service.engine.asked


def test_containers_are_stopped_while_the_engine_is_there(module: ModuleType, service: Service) -> None:
    """Under live-restore they would outlive it, and nobody would see them any more."""
    service.containers = [{"Id": "1", "Names": ["/agent"]}, {"Id": "2", "Names": ["/gone"]}]
    seen = []
    service.engine.answers["/containers/1/stop?t=10"] = lambda: seen.append(service.units[UNIT]["ActiveState"]) or {}
    run_module(module, check_mode=True, state="stopped", stop_containers=True, **service.parameters)
    assert seen == []
    run_module(module, state="stopped", stop_containers=True, **service.parameters)
    assert seen == ["active"]


def test_a_container_that_does_not_stop_ends_the_run(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.containers = [{"Id": "1", "Names": ["/agent"]}]
    monkeypatch.setattr(
        module, "stop_container", lambda *_: "tried to kill container, but did not receive an exit event"
    )
    answer = run_module(module, state="stopped", stop_containers=True, **service.parameters)
    assert "The container agent did not stop: tried to kill" in answer["msg"]
    assert service.changes() == []


def test_who_may_not_list_the_containers_is_asked(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "running", refuse)
    plan = run_module(module, check_mode=True, state="stopped", **service.parameters)
    assert "this user may not list them" in plan["confirm"][0]
    service.write({})
    assert "confirm" not in run_module(module, check_mode=True, state="stopped", **service.parameters)


def test_stopping_what_was_never_there_changes_nothing(module: ModuleType, service: Service) -> None:
    service.write({})
    service.info = None
    assert not run_module(module, state="stopped", **service.parameters)["changed"]
    assert service.changes() == []


def test_a_unit_that_does_not_stop_is_said(module: ModuleType, service: Service) -> None:
    Path(f"{service.path}.broken").touch()
    assert "did not stop: Job for" in run_module(module, state="stopped", **service.parameters)["msg"]
