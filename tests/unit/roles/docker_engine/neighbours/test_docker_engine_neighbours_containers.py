"""Another engine's containers: a port that closes or an end with the engine is a change, an end by itself a warning."""

from __future__ import annotations

import socket
from types import ModuleType

import pytest
from ansible.module_utils import containai_other_engine

from tests.unit.roles.conftest import run_module
from tests.unit.roles.docker_engine.neighbours.host import Host, snapshot


def test_a_published_port_that_closes_is_a_change(module: ModuleType, host: Host) -> None:
    with socket.socket() as published:
        published.bind(("127.0.0.1", 0))
        published.listen()
        port = published.getsockname()[1]
        host.answers["/containers/json"] = [
            {
                "Id": "c1",
                "Names": ["/web"],
                "Ports": [{"PublicPort": port, "Type": "tcp"}, {"PrivatePort": 9, "Type": "tcp"}],
            }
        ]
        before = snapshot(module)
        assert not run_module(module, before=before).get("failed")
    answer = run_module(module, before=before)
    (line,) = answer["differences"]
    assert f"{port}/tcp answers" in line.split(" before, ")[0]
    assert f"{port}/tcp is closed" in line.split(" before, ")[1]


def test_a_rule_that_was_flushed_is_a_change_although_the_port_still_answers(
    module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATH", str(host.commands.folder))
    rule = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 53535 -j DNAT --to-destination 172.17.0.2:80"
    host.commands.add("iptables", f"echo '-N DOCKER'; echo '{rule}'")
    monkeypatch.setattr(containai_other_engine, "connects", lambda port: True)
    ports = [{"PublicPort": 53535, "Type": "tcp"}]
    host.answers["/containers/json"] = [{"Id": "c1", "Names": ["/web"], "Ports": ports}]
    before = snapshot(module)
    assert not run_module(module, before=before).get("failed")
    host.commands.add("iptables", "echo '-N DOCKER'")
    (line,) = run_module(module, before=before)["differences"]
    assert "53535/tcp answers and is forwarded" in line.split(" before, ")[0]
    assert "53535/tcp answers'" in line.split(" before, ")[1]


def test_a_container_that_ended_by_itself_is_a_warning(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = []
    answer = run_module(module, before=before)
    assert not answer.get("failed")
    assert "the container web ended during the run" in answer.warned


def test_a_container_that_ended_with_its_engine_is_a_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = []
    host.units["docker.service"].update(InvocationID="a2")
    host.settle()
    answer = run_module(module, before=before)
    assert any("the container web" in line for line in answer["differences"])


def test_a_new_container_is_nobodys_business(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.answers["/containers/json"] = [*host.answers["/containers/json"], {"Id": "c2", "Names": ["/new"], "Ports": []}]
    assert not run_module(module, before=before).get("failed")
