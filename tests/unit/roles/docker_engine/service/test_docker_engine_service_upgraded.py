"""An engine under which Docker was upgraded is restarted, and not under running containers that nobody was asked about."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_engine_health as health
from ansible.module_utils import containai_engine_state
from ansible.module_utils.containai_data_root import mark, used

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.docker_engine.service.systemd import UNIT, Service

AGENT = [{"Id": "1", "Names": ["/agent"]}]


@pytest.fixture(autouse=True)
def upgraded(module: ModuleType, service: Service, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody upgraded Docker while the engine ran."""
    commands.add("dockerd", 'echo "Docker version 29.1.3, build f52814d"')
    for where in (module, health):
        monkeypatch.setattr(where, "replaced", lambda *_: True)


@pytest.mark.parametrize("check_mode", [True, False])
def test_it_is_restarted_where_nothing_runs(module: ModuleType, service: Service, check_mode: bool) -> None:
    assert run_module(module, check_mode=check_mode, **service.parameters).actions == [("restart", UNIT)]


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_others_upgraded_ends_no_containers(module: ModuleType, service: Service, check_mode: bool) -> None:
    """No failure either: the engine works, and an unattended upgrade may not break each `cai setup`."""
    service.containers = AGENT
    answer = run_module(module, check_mode=check_mode, **service.parameters)
    assert answer["actions"] == []
    assert "agent" in answer.warned
    assert "docker_engine_restart_containers=true" in answer.warned
    assert service.changes() == []
    assert run_module(module, restart_containers=True, **service.parameters).actions == [("restart", UNIT)]


def test_a_restart_for_an_upgrade_of_this_run_is_guarded(module: ModuleType, service: Service) -> None:
    service.containers = AGENT
    answer = run_module(module, upgraded=True, **service.parameters)
    assert answer["failure"] == "precondition"
    assert service.changes() == []


def test_a_plan_has_the_restart_for_the_upgrade_that_it_tells(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "replaced", lambda *_: False)
    assert run_module(module, check_mode=True, upgraded=True, **service.parameters).actions == [("restart", UNIT)]
    assert run_module(module, check_mode=True, **service.parameters).actions == []


def test_the_health_report_names_it(module: ModuleType, service: Service) -> None:
    def engine() -> dict[str, str]:
        chosen = {key: value for key, value in service.parameters.items() if key not in ("runtimes", "timeout")}
        info = load_module("docker_engine_info")
        found = run_module(info, gather_subset=["engine"], report=True, **chosen)["findings"]
        return next(one for one in found if one["part"] == "engine")

    assert engine()["status"] == "warn"
    assert "Docker 28.5.2 answers" in engine()["found"]
    assert "dockerd is 29.1.3 by now" in engine()["found"]
    assert "`cai setup`" in engine()["hint"]
    service.info = {**(service.info or {}), "ContainersRunning": 2}
    assert "`cai setup -e docker_engine_restart_containers=true`" in engine()["hint"]
    assert "(2)" in engine()["hint"]


def test_the_look_that_skips_the_service_sees_it(
    module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark(str(tmp_path / "data"))
    used(str(tmp_path / "data"))
    monkeypatch.setattr(containai_engine_state, "outdated", lambda *_: False)
    monkeypatch.setattr(containai_engine_state, "socket_wrong", lambda *_: False)
    told = {key: service.parameters[key] for key in ("unit", "socket", "runtimes")}
    for replaced in (True, False):
        monkeypatch.setattr(containai_engine_state, "replaced", lambda *_, answer=replaced: answer)
        answer = run_module(load_module("docker_engine_files"), files=[], data_root=str(tmp_path / "data"), **told)
        assert answer["ready"] is not replaced
