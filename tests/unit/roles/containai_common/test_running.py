"""The guard before containers end: what runs is listed, no engine is empty, and an engine without an answer is unknown."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.containai import running as guard
from ansible.module_utils.containai.running import (
    CONTAINERD,
    RESTART,
    Unknown,
    asleep,
    info,
    refusal,
    running,
    running_under,
    shims,
)

AGENT = {"Id": "a" * 64, "Names": ["/agent"]}


@pytest.fixture(autouse=True)
def no_shims(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the tests run on may have an engine."""
    monkeypatch.setattr(guard, "shims", list)


@pytest.fixture
def silent(sockets: Path) -> Iterator[str]:
    """A stopped dockerd: the kernel accepts for it, and nothing comes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sockets / "silent"))
        listener.listen()
        yield str(sockets / "silent")


def test_running_containers_are_listed(engine: Any) -> None:
    there = engine({"/containers/json": [AGENT, {"Id": "b" * 64, "Names": None}]})
    assert running(there.path) == [{"id": "a" * 64, "name": "agent"}, {"id": "b" * 64, "name": "b" * 12}]


@pytest.mark.parametrize("ours", [True, False])
def test_no_engine_has_no_containers(sockets: Path, ours: bool) -> None:
    assert running(str(sockets / "none"), ours) == []
    assert running(str(sockets / ("x" * 120)), ours) == []
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(sockets / "dead"))
    assert running(str(sockets / "dead"), ours) == []


def test_an_engine_that_does_not_answer_in_time_is_unknown(silent: str) -> None:
    for question in (running, info, lambda path, seconds: running_under(path, "sysbox-runc", seconds=seconds)):
        with pytest.raises(Unknown) as unknown:
            question(silent, seconds=0.1)
        assert unknown.value.told["failure"] == "failed"
        assert silent in unknown.value.told["msg"]
        assert "neither stopped nor restarted" in unknown.value.told["msg"]


@pytest.mark.parametrize("answer", [b"<html>", b"{"])
def test_an_answer_that_is_none_is_unknown(engine: Any, answer: bytes) -> None:
    with pytest.raises(Unknown):
        running(engine({"/containers/json": answer}).path)


def test_the_containers_of_one_runtime_are_told(engine: Any) -> None:
    there = engine(
        {
            "/containers/json": [AGENT, {"Id": "b", "Names": ["/plain"]}, {"Id": "c", "Names": ["/ended"]}],
            f"/containers/{'a' * 64}/json": {"Id": "a" * 64, "HostConfig": {"Runtime": "sysbox-runc"}},
            "/containers/b/json": {"Id": "b", "HostConfig": {"Runtime": "runc"}},
        }
    )
    assert running_under(there.path, "sysbox-runc") == ["agent"]


def process(proc: Path, pid: int, *words: str) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def test_an_engine_that_is_gone_is_known_by_its_shims(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = "/usr/bin/containerd-shim-runc-v2"
    process(tmp_path, 10, shim, "-namespace", "moby", "-id", "a" * 64, "-address", CONTAINERD)
    process(tmp_path, 11, shim, "-namespace", "moby", "-id", "b" * 64, "-address", "/run/containerd/containerd.sock")
    process(tmp_path, 12, "/bin/sh", "-c", "-id", CONTAINERD)
    process(tmp_path, 13)
    found = shims(str(tmp_path))
    assert [container["id"] for container in found] == ["a" * 64]
    monkeypatch.setattr(guard, "shims", lambda: found)
    assert running(str(sockets / "none")) == found
    assert running(str(sockets / "none"), ours=False) == []
    assert running_under(str(sockets / "none"), "sysbox-runc", ours=True) == ["a" * 12]


@pytest.mark.parametrize(("service", "sleeping"), [("inactive", True), ("failed", True), ("active", False)])
def test_an_engine_that_sleeps_is_not_asked(
    engine: Any, monkeypatch: pytest.MonkeyPatch, service: str, sleeping: bool
) -> None:
    there = engine({"/containers/json": [AGENT]})
    monkeypatch.setattr(guard, "DOCKER_SOCKET", there.path)
    monkeypatch.setattr(
        guard, "unit_state", lambda unit: {"ActiveState": "active" if unit == "docker.socket" else service}
    )
    assert asleep(there.path) is sleeping
    assert bool(running(there.path, ours=False)) is not sleeping
    assert bool(there.asked) is not sleeping


def test_a_refusal_names_them_and_the_way_out() -> None:
    told = refusal(["agent"], "A restart", RESTART)
    assert told["failure"] == "precondition"
    assert "agent" in told["msg"]
    assert "`cai setup -e docker_engine_restart_containers=true`" in told["hint"]
