"""Which version stays and which is replaced; live containers stop an upgrade."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_containers as containers
from ansible.module_utils import containai_sysbox_deb as deb
from ansible.module_utils import containai_sysbox_rules as rules

from tests.unit.roles.conftest import run_module
from tests.unit.roles.sysbox.package.host import LIVE, Host, look

DECISIONS = [
    (None, True, False, "install", False),
    ("0.7.1", True, False, None, False),
    ("0.7.0", True, False, "upgrade", False),
    ("0.6.7", True, False, "upgrade", False),
    ("0.7.1", False, False, "repair", False),
    ("0.8.0", True, False, None, True),
    ("0.10.0", True, False, None, True),
    ("0.8.0", True, True, "downgrade", False),
]


@pytest.mark.parametrize(("current", "finished", "downgrade", "step", "warned"), DECISIONS)
def test_the_decision(
    module: ModuleType, host: Host, current: str | None, finished: bool, downgrade: bool, step: str | None, warned: bool
) -> None:
    decided, warning = rules.decide({"version": "0.7.1", "downgrade": downgrade}, current, finished)
    assert decided == step
    assert bool(warning) == warned


@pytest.mark.parametrize(
    ("text", "version"),
    [("0.7.1.linux", "0.7.1"), ("0.6.4-0.linux", "0.6.4"), ("0.7.1", "0.7.1"), ("0.7.1-0", "0.7.1"), ("", "")],
)
def test_dpkgs_version(text: str, version: str) -> None:
    assert deb.plain_version(text) == version


def test_an_upgrade(module: ModuleType, host: Host, parameters: dict[str, Any], recorded) -> None:
    host.has("0.7.0")
    answer = run_module(module, **parameters)
    assert ("change", "Sysbox 0.7.1 (upgrade of 0.7.0)") in answer.actions
    assert host.version == "0.7.1.linux"
    assert "packages" not in recorded()  # it was there before: not ours to take away


def test_a_newer_one_stays(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.8.0")
    answer = run_module(module, **parameters)
    assert "sysbox_downgrade" in answer.warned
    assert host.version == "0.8.0.linux"


def test_one_that_was_purged_is_not_there(module: ModuleType, host: Host) -> None:
    host.has("0.7.0", "deinstall ok config-files")
    assert deb.installed() == (None, True)


@pytest.mark.parametrize("whose", ["ours", "another engine's"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_live_containers_stop_an_upgrade(
    module: ModuleType,
    host: Host,
    parameters: dict[str, Any],
    engine,
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
    check_mode: bool,
) -> None:
    host.has("0.7.0")
    live = engine(LIVE).path
    if whose == "ours":
        parameters["socket"] = live
    else:
        monkeypatch.setattr(rules, "OTHER_SOCKET", live)
    answer = run_module(module, check_mode=check_mode, **parameters)
    assert answer["failure"] == "precondition"
    assert "agent-1" in answer["msg"]
    assert "plain" not in answer["msg"]
    assert f"`docker --host unix://{live} stop agent-1`" in answer["hint"]
    assert host.changes() == []
    assert host.version == "0.7.0.linux"
    assert look("plan", parameters, check_mode=check_mode)["msg"] == answer["msg"]


def test_live_containers_stop_a_repair(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.has("0.7.1", "install ok half-configured")
    monkeypatch.setattr(rules, "OTHER_SOCKET", engine(LIVE).path)
    assert "agent-1" in run_module(module, **parameters)["msg"]
    assert host.changes() == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_an_engine_that_gives_no_answer_is_not_an_empty_one(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, check_mode: bool
) -> None:
    host.has("0.7.0")
    parameters["socket"] = engine({"/containers/json": (500, {"message": "out of memory"})}).path
    answer = run_module(module, restart_containers=True, check_mode=check_mode, **parameters)
    assert answer["failure"] == "precondition"
    assert "does not answer" in answer["msg"]
    assert host.changes() == []


def test_containers_of_an_engine_that_is_not_known_stop_an_upgrade(
    module: ModuleType, host: Host, parameters: dict[str, Any], mounts, needs_root: None
) -> None:
    host.has("0.7.0")
    mounts("c0ffee")
    answer = run_module(module, restart_containers=True, **parameters)
    assert answer["failure"] == "precondition"
    assert "c0ffee" in answer["msg"]
    assert host.changes() == []


def test_a_dry_run_without_the_right_to_ask_goes_on(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.has("0.7.0")
    parameters["socket"] = engine({}).path

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(containers, "listed", refuse)  # root may ask any socket, so the kernel does not refuse it here
    assert ("change", "Sysbox 0.7.1 (upgrade of 0.7.0)") in run_module(module, check_mode=True, **parameters).actions
