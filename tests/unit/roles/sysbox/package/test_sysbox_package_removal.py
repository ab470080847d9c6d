"""Ours is removed, in the shadow too; one that was there before stays, and so does one that another engine's containers need."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_rules as rules
from ansible.module_utils.containai import apt
from ansible.module_utils.containai.record import Record

from tests.unit.roles.conftest import run_module
from tests.unit.roles.sysbox.package.host import LIVE, Host, look


def test_ours_is_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    assert run_module(module, check_mode=True, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None
    assert [call for call in host.commands.of("unshare") if "purge" in call]  # its purge edits daemon.json, too
    assert ["disable", "--now", *module.UNITS] in host.commands.of("systemctl")
    assert not run_module(module, state="absent", **parameters)["changed"]


def test_one_whose_removal_was_cut_off_goes_whole(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.has("0.7.1", "purge ok half-installed")
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None


@pytest.mark.parametrize("kept", [True, False])
def test_one_that_a_killed_dpkg_left_half_unpacked_goes(
    module: ModuleType, host: Host, parameters: dict[str, Any], kept: bool
) -> None:
    """With the package that is still there it is unpacked anew first, so that apt knows all of its files."""
    run_module(module, **parameters)
    package = Path(module.DOWNLOADS) / "sysbox-ce-0123.deb"
    if kept:
        package.touch()
    host.has("0.7.1", "install reinstreq half-installed")
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None
    shadowed = [call for call in host.commands.of("unshare") if "dpkg" in call and "--configure" not in call]
    unpacked, purged = (["--unpack", "--force-depends", str(package)], "--force-remove-reinstreq")
    assert [call[-3:] for call in shadowed if "--unpack" in call] == ([unpacked] if kept else [])
    assert any(purged in call for call in shadowed) is not kept


def test_half_unpacked_company_of_it_is_no_obstacle(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    """apt, asked to remove the one, tries to configure the other, and fails."""
    run_module(module, **parameters)
    host.half.touch()
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None


def test_one_that_was_there_before_is_not_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.7.1")
    run_module(module, **parameters)
    answer = run_module(module, state="absent", **parameters)
    assert not answer["changed"]
    assert answer.actions[0][0] == "leave"
    assert host.version


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("early", [True, False])
def test_another_engines_containers_keep_it_whatever_is_said(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, monkeypatch, check_mode: bool, early: bool
) -> None:
    run_module(module, **parameters)
    other, before = engine(LIVE).path, len(host.changes())
    monkeypatch.setattr(rules, "OTHER_SOCKET", other)
    more = {"restart_containers": True, "check_mode": check_mode}
    answer = (
        look("removal", {**parameters, **more}) if early else run_module(module, state="absent", **more, **parameters)
    )
    assert answer["failure"] == "precondition"
    assert "agent-1" in answer["msg"]
    assert "plain" not in answer["msg"]
    assert f"`docker --host unix://{other} stop agent-1`" in answer["hint"]
    assert host.changes()[before:] == []


def test_another_engines_containers_do_not_mind_what_stays(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, monkeypatch
) -> None:
    host.has("0.7.1")
    monkeypatch.setattr(rules, "OTHER_SOCKET", engine(LIVE).path)
    assert not look("removal", parameters)["changed"]


def test_the_engines_own_containers_are_asked_for_where_it_is_stopped(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine
) -> None:
    run_module(module, **parameters)
    parameters["socket"] = engine(LIVE).path
    assert not look("removal", parameters)["changed"]
    assert run_module(module, state="absent", check_mode=True, **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert "agent-1" in run_module(module, state="absent", **parameters)["msg"]


def test_one_that_a_killed_setups_apt_is_installing_yet_goes(
    module: ModuleType, host: Host, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Record().begin_installation("sysbox")
    waited = []

    def until_apt_is_done(seconds: int) -> None:
        waited.append(seconds)
        host.has("0.7.1")

    monkeypatch.setattr(apt, "quiet", until_apt_is_done)
    assert not run_module(module, check_mode=True, state="absent", **parameters)["changed"]
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert waited == [300]
    assert host.version is None
