"""The engine's network is mended without a restart, unless the engine runs in another."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_engine_state

from tests.unit.roles.conftest import Commands, run_module
from tests.unit.roles.docker_engine.service.systemd import UNIT, Service


@pytest.fixture
def namespace(module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine runs in the namespace that bears the name: here, in the test's own."""
    monkeypatch.setattr(containai_engine_state, "NETNS", "/proc/self/ns/net")
    service.set(MainPID=str(os.getpid()))


NETWORK = 'case $1 in check) [ -e {mark} ] || {{ echo "address of cai0 is missing"; echo more; exit 1; }};; up) : >{mark};; esac'


def test_a_broken_network_is_mended_without_a_restart(
    module: ModuleType, service: Service, namespace: None, commands: Commands, tmp_path: Path
) -> None:
    program = str(commands.add("network", NETWORK.format(mark=tmp_path / "up")))
    parameters = {**service.parameters, "check": [program, "check"]}
    plan = run_module(module, check_mode=True, **parameters)
    assert plan.actions == [("change", "network namespace: address of cai0 is missing")]
    assert ["up"] not in commands.of("network")
    assert run_module(module, **parameters).actions == plan.actions
    assert ["up"] in commands.of("network")
    assert service.changes() == []
    assert not run_module(module, **parameters)["changed"]


def test_an_engine_in_a_namespace_that_lost_its_name_is_restarted(
    module: ModuleType, service: Service, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = str(commands.add("network", "exit 0"))
    parameters = {**service.parameters, "check": [program, "check"]}
    service.set(MainPID=str(os.getpid()))
    for another in (tmp_path / "gone", tmp_path):
        monkeypatch.setattr(containai_engine_state, "NETNS", str(another))
        assert run_module(module, check_mode=True, **parameters).actions == [("restart", UNIT)]


def test_a_network_that_cannot_be_mended_is_said(module: ModuleType, service: Service, commands: Commands) -> None:
    program = str(commands.add("network", 'echo "RTNETLINK answers: File exists" >&2; exit 2'))
    answer = run_module(module, check_mode=False, **{**service.parameters, "check": [program, "check"]})
    assert "cannot be made: RTNETLINK answers: File exists" in answer["msg"]
    assert f"`sudo {program} up`" in answer["hint"]


def test_a_network_program_that_is_gone_is_a_broken_network(
    module: ModuleType, service: Service, namespace: None, tmp_path: Path
) -> None:
    parameters = {**service.parameters, "check": [str(tmp_path / "gone"), "check"]}
    ((verb, what),) = run_module(module, check_mode=True, **parameters).actions
    assert verb == "change"
    assert "gone: No such file" in what
    assert "cannot be made" in run_module(module, **parameters)["msg"]


def test_an_ordinary_user_does_not_judge_the_network(
    module: ModuleType, service: Service, namespace: None, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ip netns exec` fails for want of rights, which says nothing about the network."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program = str(commands.add("network", 'echo "network namespace containai is missing"; exit 1'))
    assert not run_module(module, check_mode=True, **{**service.parameters, "check": [program, "check"]})["changed"]
