"""Containers outlive what is done to their Sysbox: they are stopped before and started after, and those that lost theirs are named."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_containers as containers
from ansible.module_utils import containai_sysbox_health as health

from tests.unit.roles.conftest import load_module, run_module
from tests.unit.roles.sysbox.package.host import LIVE, Host

DONE = (204, {})
TWO: dict[str, Any] = {
    "/containers/json": [{"Id": "s1"}, {"Id": "s2"}],
    "/containers/s1/json": {"Name": "/old", "HostConfig": {"Runtime": "sysbox-runc"}, "State": {"StartedAt": "2026-01-01"}},
    "/containers/s2/json": {"Name": "/young", "HostConfig": {"Runtime": "sysbox-runc"}, "State": {"StartedAt": "2026-02-01"}},
    **{f"/containers/{identity}/{what}": DONE for identity in ("s1", "s2") for what in ("stop", "start")},
}  # fmt: skip


@pytest.fixture
def two(engine, parameters: dict[str, Any]) -> Any:
    """An engine with two Sysbox containers."""
    started = engine(dict(TWO))
    parameters["socket"] = started.path
    return started


@pytest.fixture
def starter(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    loaded = load_module("sysbox_containers")
    monkeypatch.setattr(loaded, "STEADY_SECONDS", 0)
    monkeypatch.setattr(containers, "PROCESSES", str(tmp_path / "proc"))
    return loaded


def posts(engine: Any) -> list[str]:
    return [path for path in engine.asked if path.endswith(("/stop", "/start"))]


def is_up(
    engine: Any, folder: Path, identity: str, uid_map: str = "0 231072 65536", mounts: str = "fuse sysboxfs"
) -> None:
    engine.answers[f"/containers/{identity}/json"] = {"State": {"Running": True, "Pid": identity}}
    (folder / "proc" / identity).mkdir(parents=True)
    (folder / "proc" / identity / "uid_map").write_text(uid_map)
    (folder / "proc" / identity / "mountinfo").write_text(mounts)


def test_they_are_stopped_before_and_started_after(
    module: ModuleType, starter: ModuleType, host: Host, parameters: dict[str, Any], two: Any, recorded, tmp_path: Path
) -> None:
    host.has("0.7.0")
    plan = run_module(module, check_mode=True, restart_containers=True, **parameters)
    assert posts(two) == []
    answer = run_module(module, restart_containers=True, **parameters)
    assert answer.actions == plan.actions
    assert ("stop", "container old (started again afterwards)") in answer.actions
    assert answer["pending"]
    assert posts(two) == [
        "/containers/s2/stop",
        "/containers/s1/stop",
    ]  # the youngest first: it may use the other's network
    assert host.version == "0.7.1.linux"
    for identity in ("s1", "s2"):
        is_up(two, tmp_path, identity)
    assert run_module(starter).actions == [("start", "container old"), ("start", "container young")]
    assert posts(two)[2:] == ["/containers/s1/start", "/containers/s2/start"]
    assert "stopped_containers" not in recorded()
    assert not run_module(starter)["changed"]


def test_one_that_does_not_stop_saves_all(
    module: ModuleType, host: Host, parameters: dict[str, Any], two: Any, recorded
) -> None:
    host.has("0.7.0")
    two.answers["/containers/s1/stop"] = (
        500,
        {"message": "tried to kill container, but did not receive an exit event"},
    )
    answer = run_module(module, restart_containers=True, **parameters)
    assert "The container old did not stop: tried to kill" in answer["msg"]
    assert "Nothing was replaced" in answer["msg"]
    assert host.version == "0.7.0.linux"
    assert host.commands.of("apt-get") == []
    assert posts(two)[-2:] == ["/containers/s1/start", "/containers/s2/start"]
    assert "stopped_containers" not in recorded()


def test_one_that_a_stop_would_remove_is_left(
    module: ModuleType, host: Host, parameters: dict[str, Any], two: Any
) -> None:
    host.has("0.7.0")
    two.answers["/containers/s1/json"]["HostConfig"]["AutoRemove"] = True
    answer = run_module(module, restart_containers=True, **parameters)
    assert answer["failure"] == "precondition"
    assert "--rm" in answer["msg"]
    assert "old" in answer["msg"]
    assert posts(two) == []
    two.answers["/containers/s1/json"]["HostConfig"]["AutoRemove"] = False


def test_they_run_again_where_the_package_cannot_be_replaced(
    module: ModuleType, host: Host, parameters: dict[str, Any], two: Any
) -> None:
    host.has("0.7.0")
    host.broken.touch()
    assert "apt could not install" in run_module(module, restart_containers=True, **parameters)["msg"]
    assert posts(two)[-2:] == ["/containers/s1/start", "/containers/s2/start"]


def test_what_a_killed_run_stopped_is_started_by_the_next(
    module: ModuleType, starter: ModuleType, host: Host, parameters: dict[str, Any], two: Any
) -> None:
    host.has("0.7.0")
    run_module(module, restart_containers=True, **parameters)
    two.answers["/containers/json"] = []  # and no sysbox_containers after it
    assert run_module(module, **parameters)["pending"]


WRONG = [
    ({"uid_map": "0 0 4294967295"}, "not isolated"),
    ({"mounts": "proc"}, "not isolated"),
]


@pytest.mark.parametrize(("more", "said"), WRONG)
def test_one_that_is_not_isolated_afterwards_fails(
    module: ModuleType, starter: ModuleType, host: Host, parameters: dict[str, Any], two: Any, tmp_path: Path,
    more: dict[str, str], said: str,
) -> None:  # fmt: skip
    host.has("0.7.0")
    run_module(module, restart_containers=True, **parameters)
    is_up(two, tmp_path, "s1", **more)
    is_up(two, tmp_path, "s2")
    answer = run_module(starter)
    assert f"old: it runs, and is {said}" in answer["msg"]
    assert "young" not in answer["msg"]


def test_one_that_does_not_start_again_is_said_once(
    module: ModuleType, starter: ModuleType, host: Host, parameters: dict[str, Any], two: Any, tmp_path: Path
) -> None:
    host.has("0.7.0")
    run_module(module, restart_containers=True, **parameters)
    is_up(two, tmp_path, "s2")
    two.answers["/containers/s1/json"] = {"State": {"Running": False, "ExitCode": 137}}
    two.answers["/containers/s1/start"] = (500, {"message": "its mount is gone"})
    assert "old: its mount is gone" in run_module(starter)["msg"]
    assert not run_module(starter)["changed"]


def test_containers_that_lost_their_sysbox_are_named(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, mounts, tmp_path: Path
) -> None:
    run_module(module, **parameters)
    parameters["socket"] = engine(LIVE).path
    mounts("s1")
    assert (health.of_mounts(), health.of_containers(parameters["socket"])) == ([], [])
    mounts(dead=("s1",))
    found = {one["part"]: one for one in (*health.of_mounts(), *health.of_containers(parameters["socket"]))}
    assert found["Sysbox mounts"]["status"] == found["Sysbox containers"]["status"] == "fail"
    assert "agent-1" in found["Sysbox containers"]["found"]
    assert "sysbox_restart_containers=true" in found["Sysbox containers"]["hint"]
    answer = run_module(module, **parameters)
    assert ("remove", f"dead mount {tmp_path}/sysboxfs/s1") in answer.actions
    assert "agent-1" in answer.warned
    assert "docker cp" in answer.warned
    assert ["umount", "--lazy", f"{tmp_path}/sysboxfs/s1"] in host.changes()


def test_they_are_repaired_on_request(
    module: ModuleType, host: Host, parameters: dict[str, Any], two: Any, mounts, tmp_path: Path
) -> None:
    run_module(module, **parameters)
    mounts("s2", dead=("s1",))
    answer = run_module(module, restart_containers=True, **parameters)
    assert posts(two) == ["/containers/s1/stop"]  # the other one is well
    assert ["systemctl", "start", module.REPAIR] in host.changes()
    assert ["systemctl", "restart", "sysbox.service"] not in host.changes()[-3:]
    assert answer["pending"]


def test_a_new_file_does_not_restart_it_under_containers(
    module: ModuleType, host: Host, parameters: dict[str, Any], drop_in: Path, mounts
) -> None:
    run_module(module, **parameters)
    drop_in.write_text("")
    mounts("whoevers")
    calls = len(host.changes())
    assert run_module(module, **parameters)["changed"]
    assert ["systemctl", "restart", "sysbox.service"] not in host.changes()[calls:]  # it would break them
