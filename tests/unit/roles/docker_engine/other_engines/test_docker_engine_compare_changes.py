"""Whatever of another engine changes during a run is named: settings, contexts, socket and units."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.docker_engine.other_engines.host import OURS, Host, compare, snapshot


def test_an_untouched_host_has_no_difference(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    answer = compare(before)
    assert not answer["changed"]
    assert answer.warned == ""
    assert answer["notes"] == []
    assert {**snapshot(module), "taken": 0} == {**before, "taken": 0}


def test_our_own_context_may_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.write(f"contexts/meta/{OURS}/meta.json", "{}")
    assert not compare(before).get("failed")


def test_the_contexts_of_the_record_may_change_too(module: ModuleType, host: Host, state: Path) -> None:
    """Setup may have made one of another name; an uninstall takes it away, and the record with it."""
    folder = f"contexts/meta/{hashlib.sha256(b'work').hexdigest()}"
    host.write(f"{folder}/meta.json", "{}")
    state.mkdir()
    (state / "record.json").write_text('{"version": 1, "contexts": [{"name": "work"}]}')
    before = snapshot(module)
    (host.docker / folder / "meta.json").unlink()
    (state / "record.json").unlink()
    assert not compare(before).get("failed")


def drop(host: Host, *names: str) -> None:
    for name in names:
        (host.docker / name).unlink()


CHANGES = {
    "the active context": (
        lambda host: host.write("config.json", '{"currentContext": "default"}'),
        ["the active docker context", "config.json"],
    ),
    "config.json gone": (lambda host: drop(host, "config.json"), ["the active docker context", "config.json"]),
    "config.json's mode": (lambda host: (host.docker / "config.json").chmod(0o640), ["~/.docker/config.json"]),
    "daemon.json": (lambda host: host.write("daemon.json", "{ }"), ["~/.docker/daemon.json"]),
    "daemon.json gone": (lambda host: drop(host, "daemon.json"), ["~/.docker/daemon.json"]),
    "another context": (
        lambda host: host.write("contexts/meta/feed/meta.json", "{}"),
        ["contexts/meta/feed/meta.json"],
    ),
    "another context gone": (lambda host: drop(host, "contexts/meta/feed/meta.json"), ["contexts/meta/feed/meta.json"]),
    "a new context": (lambda host: host.write("contexts/meta/cafe/meta.json", "{}"), ["contexts/meta/cafe/meta.json"]),
    "its certificate": (lambda host: host.write("contexts/tls/feed/docker/ca.pem", "x"), ["ca.pem"]),
    "the engine behind the socket": (
        lambda host: host.answers.update({"/info": {"ID": "ENGINE-B"}}),
        ["the engine at /var/run/docker.sock"],
    ),
    "no engine behind the socket": (lambda host: host.answers.pop("/info"), ["the engine at /var/run/docker.sock"]),
    "the socket's mode": (lambda host: Path(host.engine.path).chmod(0o600), ["the owner of /var/run/docker.sock"]),
    "docker.service restarted": (
        lambda host: host.units["docker.service"].update(InvocationID="a2", MainPID="11"),
        ["docker.service"],
    ),
    "docker.service disabled": (
        lambda host: host.units["docker.service"].update(UnitFileState="disabled"),
        ["docker.service"],
    ),
    "docker.service stopped": (
        lambda host: host.units["docker.service"].update(ActiveState="inactive", UnitFileState="disabled"),
        ["docker.service"],
    ),
    "docker.socket stopped": (
        lambda host: host.units["docker.socket"].update(ActiveState="inactive"),
        ["docker.socket"],
    ),
    "Docker Desktop's link removed": (lambda host: host.link.unlink(), ["/docker: -> /mnt/wsl/docker-desktop"]),
}


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES.keys())
def test_every_change_is_named(module: ModuleType, host: Host, change: Any, named: list[str]) -> None:
    before = snapshot(module)
    change(host)
    host.settle()
    answer = compare(before)
    assert answer["failure"] == "failed"
    assert "`cai doctor`" in answer["hint"]
    for words in named:
        assert any(words in line for line in answer["differences"]), (words, answer["differences"])
        assert words in answer["msg"]
    if "service" not in named[0] and "socket" not in named[0] and "sock" not in named[0]:
        assert len(answer["differences"]) == len(named)


def test_a_socket_made_anew_is_a_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    Path(host.engine.path).rename(f"{host.engine.path}.old")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(host.engine.path)
        answer = compare(before)
    Path(f"{host.engine.path}.old").unlink()
    assert any("the owner of /var/run/docker.sock" in line for line in answer["differences"])


def test_a_service_that_came_but_rests_is_no_change(module: ModuleType, host: Host) -> None:
    host.units["docker.service"] = {"LoadState": "not-found"}
    host.units["docker.socket"] = {"LoadState": "not-found"}
    host.settle()
    before = snapshot(module)
    for name in host.units:
        host.units[name] = {
            "LoadState": "loaded",
            "UnitFileState": "disabled",
            "ActiveState": "inactive",
            "InvocationID": "",
            "MainPID": "0",
        }
    host.settle()
    assert not compare(before).get("failed")
    host.units["docker.socket"]["ActiveState"] = "active"
    host.settle()
    assert compare(before)["failed"]


@pytest.mark.parametrize("damage", ["{", "[]", "null", ""])
def test_a_damaged_config_is_still_compared(module: ModuleType, host: Host, damage: str) -> None:
    host.write("config.json", damage)
    before = snapshot(module)
    assert before["things"]["the active docker context"] == "default"
    host.write("config.json", damage + " ")
    assert compare(before)["failed"]


def test_a_link_that_turns_into_a_file_is_a_change(module: ModuleType, host: Host, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    (host.docker / "daemon.json").unlink()
    (host.docker / "daemon.json").symlink_to(real)
    before = snapshot(module)
    (host.docker / "daemon.json").unlink()
    host.write("daemon.json", "{}")
    assert any("~/.docker/daemon.json: -> " in line for line in compare(before)["differences"])
