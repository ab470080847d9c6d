"""Whatever of another engine changes during a run is named; what ends by itself is a warning; nothing is woken."""

from __future__ import annotations

import hashlib
import json
import pwd
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, Engine, load_module, run_module

OURS = hashlib.sha256(b"containai-secure").hexdigest()
UNITS = {
    "docker.service": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "InvocationID": "a1",
        "MainPID": "10",
    },
    "docker.socket": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "InvocationID": "b1",
        "MainPID": "0",
    },
}


class Host:
    """Everything Docker of a host that is not ours."""

    def __init__(self, folder: Path, commands: Commands, engine: Any) -> None:
        self.docker, self.folder = folder / "home" / ".docker", folder
        self.units = {name: dict(state) for name, state in UNITS.items()}
        self.commands = commands
        for path, text in {
            "config.json": json.dumps({"currentContext": "desktop-linux"}),
            "daemon.json": "{}",
            "contexts/meta/feed/meta.json": '{"Name": "desktop-linux"}',
            "contexts/tls/feed/docker/ca.pem": "certificate",
            f"contexts/meta/{OURS}/meta.json": '{"Name": "containai-secure"}',
        }.items():
            self.write(path, text)
        self.answers = {
            "/info": {"ID": "ENGINE-A"},
            "/containers/json": [{"Id": "c1", "Names": ["/web"], "Ports": []}],
            "/containers/c1/json": {"State": {"Pid": 100, "StartedAt": "today"}},
        }
        self.engine: Engine = engine(self.answers)
        commands.add(
            "systemctl", 'while read -r line; do echo "$line"; done <"$0.$4" 2>/dev/null || echo LoadState=not-found'
        )
        self.settle()

    def write(self, path: str, text: str) -> None:
        (self.docker / path).parent.mkdir(parents=True, exist_ok=True)
        (self.docker / path).write_text(text)

    def settle(self) -> None:
        for name, state in self.units.items():
            (self.commands.folder / f"systemctl.{name}").write_text(
                "".join(f"{key}={value}\n" for key, value in state.items())
            )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_module("docker_engine_neighbours")


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, commands, engine)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "SOCKET", made.engine.path)
    return made


def snapshot(module: ModuleType) -> dict[str, Any]:
    return run_module(module)["snapshot"]


def test_an_untouched_host_has_no_difference(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    answer = run_module(module, before=before)
    assert not answer["changed"]
    assert answer.warned == ""
    assert answer["snapshot"] == before


def test_looking_changes_nothing(module: ModuleType, host: Host) -> None:
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in host.docker.rglob("*") if path.is_file()}
    snapshot(module)
    run_module(module, check_mode=True)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in host.docker.rglob("*") if path.is_file()
    } == files
    assert {call[0] for call in host.commands.of("systemctl")} == {"show"}


def test_our_own_context_may_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    host.write(f"contexts/meta/{OURS}/meta.json", "{}")
    assert not run_module(module, before=before).get("failed")


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
    "a container restarted": (
        lambda host: host.answers.update({"/containers/c1/json": {"State": {"Pid": 101, "StartedAt": "now"}}}),
        ["the container web"],
    ),
}


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES.keys())
def test_every_change_is_named(module: ModuleType, host: Host, change: Any, named: list[str]) -> None:
    before = snapshot(module)
    change(host)
    host.settle()
    answer = run_module(module, before=before)
    assert answer["failure"] == "failed"
    assert "`cai doctor`" in answer["hint"]
    for words in named:
        assert any(words in line for line in answer["differences"]), (words, answer["differences"])
        assert words in answer["msg"]
    if (
        "container" not in named[0]
        and "service" not in named[0]
        and "socket" not in named[0]
        and "sock" not in named[0]
    ):
        assert len(answer["differences"]) == len(named)


def test_a_socket_made_anew_is_a_change(module: ModuleType, host: Host) -> None:
    before = snapshot(module)
    Path(host.engine.path).rename(f"{host.engine.path}.old")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(host.engine.path)
        answer = run_module(module, before=before)
    Path(f"{host.engine.path}.old").unlink()
    assert any("the owner of /var/run/docker.sock" in line for line in answer["differences"])


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
    monkeypatch.setattr(module, "connects", lambda port: True)
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


def test_a_sleeping_engine_is_not_woken(module: ModuleType, host: Host) -> None:
    host.units["docker.service"].update(ActiveState="inactive", MainPID="0")
    host.settle()
    taken = snapshot(module)
    assert host.engine.asked == []
    assert taken["containers"] == {}
    assert not run_module(module, before=taken).get("failed")
    assert host.engine.asked == []


def test_an_engine_that_runs_is_asked_for_no_more_than_it_takes(module: ModuleType, host: Host) -> None:
    snapshot(module)
    assert set(host.engine.asked) == {"/info", "/containers/json", "/containers/c1/json"}


def test_a_host_with_nothing_of_docker(
    module: ModuleType, tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "SOCKET", str(tmp_path / "none.sock"))
    before = snapshot(module)
    assert before["containers"] == {}
    assert before["things"]["the active docker context"] == "default"
    assert before["things"]["docker.service"] is None
    assert not run_module(module, before=before).get("failed")


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
    assert not run_module(module, before=before).get("failed")
    host.units["docker.socket"]["ActiveState"] = "active"
    host.settle()
    assert run_module(module, before=before)["failed"]


@pytest.mark.parametrize("damage", ["{", "[]", "null", ""])
def test_a_damaged_config_is_still_compared(module: ModuleType, host: Host, damage: str) -> None:
    host.write("config.json", damage)
    before = snapshot(module)
    assert before["things"]["the active docker context"] == "default"
    host.write("config.json", damage + " ")
    assert run_module(module, before=before)["failed"]


def test_a_link_that_turns_into_a_file_is_a_change(module: ModuleType, host: Host, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    (host.docker / "daemon.json").unlink()
    (host.docker / "daemon.json").symlink_to(real)
    before = snapshot(module)
    (host.docker / "daemon.json").unlink()
    host.write("daemon.json", "{}")
    assert any("~/.docker/daemon.json: -> " in line for line in run_module(module, before=before)["differences"])


def test_content_of_a_dangling_link(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docker").symlink_to("/mnt/wsl/gone")
    assert "-> /mnt/wsl/gone" in module.content(str(tmp_path / "docker"))


def test_a_program_of_a_package_comes_and_goes(module: ModuleType, commands: Commands, tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.touch()
    commands.add("dpkg-query", "exit 0")
    assert module.unowned(str(program)) is None
    commands.add("dpkg-query", "exit 1")
    assert "sha256" in module.unowned(str(program))


def test_no_such_user_is_said(module: ModuleType, host: Host) -> None:
    answer = run_module(module, user="nobody-of-this-name")
    assert answer["failure"] == "precondition"
    assert "nobody-of-this-name" in answer["msg"]


def test_the_user_behind_sudo_is_meant(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "take", lambda folder, ours: seen.append(folder) or {"things": {}, "containers": {}})
    monkeypatch.setenv("SUDO_USER", "nobody")
    run_module(module)
    run_module(module, config_dir="/srv/docker-settings")
    assert seen == [f"{pwd.getpwnam('nobody').pw_dir}/.docker", "/srv/docker-settings"]
