"""Ours is removed, in the shadow too; one that was there before stays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tests.unit.roles.conftest import run_module
from tests.unit.roles.sysbox.package.host import Host


def test_ours_is_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    assert run_module(module, check_mode=True, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None
    assert [call for call in host.commands.of("unshare") if "purge" in call]  # its purge edits daemon.json, too
    assert not run_module(module, state="absent", **parameters)["changed"]


def test_one_that_was_there_before_is_not_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.7.1")
    run_module(module, **parameters)
    answer = run_module(module, state="absent", **parameters)
    assert not answer["changed"]
    assert answer.actions[0][0] == "leave"
    assert host.version
