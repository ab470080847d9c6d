"""Looking changes nothing and wakes nothing, and looks at the right user's."""

from __future__ import annotations

import pwd
import socket
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.docker_engine.other_engines.host import Host, compare, look, snapshot


def test_looking_changes_nothing(module: ModuleType, host: Host) -> None:
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in host.docker.rglob("*") if path.is_file()}
    snapshot(module)
    look(check_mode=True)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in host.docker.rglob("*") if path.is_file()
    } == files
    assert {call[0] for call in host.commands.of("systemctl")} == {"show"}


def test_a_sleeping_engine_is_not_woken(module: ModuleType, host: Host) -> None:
    host.units["docker.service"].update(ActiveState="inactive", MainPID="0")
    host.settle()
    taken = snapshot(module)
    assert host.engine.asked == []
    assert taken["containers"] == {}
    assert not compare(taken).get("failed")
    assert host.engine.asked == []


def test_an_engine_that_runs_is_asked_for_no_more_than_it_takes(module: ModuleType, host: Host) -> None:
    snapshot(module)
    assert set(host.engine.asked) == {"/info", "/version", "/containers/json", "/containers/c1/json", "/networks"}


def test_a_host_with_nothing_of_docker(
    module: ModuleType, tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "SOCKET", str(tmp_path / "none.sock"))
    before = snapshot(module)
    assert before["containers"] == {}
    assert before["things"]["the active docker context"] == "default"
    assert before["units"]["docker.service"] is None
    assert not compare(before).get("failed")


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
    answer = look(user="nobody-of-this-name")
    assert answer["failure"] == "precondition"
    assert "nobody-of-this-name" in answer["msg"]


def test_the_user_behind_sudo_is_meant(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(load_module("docker_engine_info"), "snapshot", lambda folder, *_: seen.append(folder) or {})
    monkeypatch.setenv("SUDO_USER", "nobody")
    look()
    look(config_dir="/srv/docker-settings")
    assert seen == [f"{pwd.getpwnam('nobody').pw_dir}/.docker", "/srv/docker-settings"]


def test_no_connection_is_made_to_a_published_port(module: ModuleType, host: Host) -> None:
    """A service of somebody may take one client, or note each; the kernel tells who listens."""
    with socket.socket() as published:
        published.bind(("127.0.0.1", 0))
        published.listen()
        published.settimeout(0.2)
        port = {"PublicPort": published.getsockname()[1], "Type": "tcp"}
        host.answers["/containers/json"] = [{"Id": "c1", "Names": ["/web"], "Ports": [port]}]
        (seen,) = snapshot(module)["containers"]["c1"]["ports"].values()
        with pytest.raises(TimeoutError):
            published.accept()
    assert seen == {"listens": True, "forwarded": False}


def test_podman_has_no_id_of_its_own(module: ModuleType, host: Host) -> None:
    host.answers["/version"] = {"Components": [{"Name": "Podman Engine"}]}
    before = snapshot(module)
    host.answers["/info"] = {"ID": "made up again"}
    assert not compare(before).get("failed")


def test_an_engine_that_does_not_answer_is_unknown_not_gone(
    module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(module)
    host.answers["/info"] = b"<html>"
    answer = compare(before)
    assert not answer.get("failed")
    assert "did not answer in time" in answer["notes"][0]
    assert look(report=True)["findings"][0]["status"] == "unknown"
