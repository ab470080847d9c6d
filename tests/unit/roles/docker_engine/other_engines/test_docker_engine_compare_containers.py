"""Another engine's containers: what closes a port of one that still runs is a fault; what containers do by themselves is a note."""

from __future__ import annotations

import socket
from types import ModuleType

import pytest

from tests.unit.roles.docker_engine.other_engines.host import Host, compare, snapshot


def test_a_published_port_that_closes_is_a_change(module: ModuleType, host: Host) -> None:
    with socket.socket() as published:
        published.bind(("127.0.0.1", 0))
        published.listen()
        port = published.getsockname()[1]
        ports = [{"PublicPort": port, "Type": "tcp"}, {"PrivatePort": 9, "Type": "tcp"}]
        host.answers["/containers/json"] = [{"Id": "c1", "Names": ["/web"], "Ports": ports}]
        before = snapshot(module)
        assert not compare(before).get("failed")
    (line,) = compare(before)["differences"]
    assert f"web still runs, but its port {port}/tcp is closed: nobody listens" in line


def test_a_rule_that_was_flushed_is_a_change_although_somebody_still_listens(
    module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", str(host.commands.folder))
    rule = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 53535 -j DNAT --to-destination 172.17.0.2:80"
    host.commands.add("iptables", f"echo '-N DOCKER'; echo '{rule}'")
    ports = [{"PublicPort": 53535, "Type": "tcp"}]
    host.answers["/containers/json"] = [{"Id": "c1", "Names": ["/web"], "Ports": ports}]
    before = snapshot(module)
    assert not compare(before).get("failed")
    host.commands.add("iptables", "echo '-N DOCKER'")
    (line,) = compare(before)["differences"]
    assert "53535/tcp is closed: no rule forwards it" in line


def test_a_container_that_ended_by_itself_is_a_note(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = []
    answer = compare(before)
    assert not answer.get("failed")
    assert "the container web ended during the run" in answer["notes"][0]


def test_a_container_that_was_started_again_is_a_note(module: ModuleType, host: Host) -> None:
    """One that crashes in a loop, or that its user restarts."""
    before = snapshot(module)
    host.answers["/containers/c1/json"] = {"State": {"Pid": 101, "StartedAt": "now"}}
    answer = compare(before)
    assert not answer.get("failed")
    assert "the container web was started again" in answer["notes"][0]


def test_a_container_that_ended_with_its_engine_is_a_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = []
    host.units["docker.service"].update(InvocationID="a2")
    host.settle()
    answer = compare(before)
    assert any("the container web" in line for line in answer["differences"])


def test_an_engine_that_failed_to_start_before_is_a_note(module: ModuleType, host: Host) -> None:
    """systemd starts it again and again, each time anew."""
    host.answers.pop("/info")
    host.units["docker.service"].update(ActiveState="activating")
    host.settle()
    before = snapshot(module)
    host.units["docker.service"].update(InvocationID="a2")
    host.settle()
    answer = compare(before)
    assert not answer.get("failed")
    assert "docker.service" in answer["notes"][0]


def test_a_new_container_is_a_note(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = [*host.answers["/containers/json"], {"Id": "c2", "Names": ["/new"], "Ports": []}]
    answer = compare(before)
    assert not answer.get("failed")
    assert "the container new" in answer["notes"][0]


def test_what_does_not_last_is_no_change(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that ends loses its port first, and is listed for a moment yet."""
    with socket.socket() as published:
        published.bind(("127.0.0.1", 0))
        published.listen()
        ports = [{"PublicPort": published.getsockname()[1], "Type": "tcp"}]
        host.answers["/containers/json"] = [{"Id": "c1", "Names": ["/web"], "Ports": ports}]
        before = snapshot(module)
    monkeypatch.setattr(module.time, "sleep", lambda _: host.answers.update({"/containers/json": []}))
    answer = compare(before)
    assert not answer.get("failed")
    assert "ended during the run" in answer["notes"][0]
