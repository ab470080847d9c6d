"""An engine is asked over its socket; whatever is no answer is None, and a refusal of the system is told."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from ansible.module_utils.containai.engine_api import ask, stop_container


def test_an_answer_is_returned(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:1")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
    there = engine({"/info": {"ID": "A"}})
    assert ask(there.path, "/info") == {"ID": "A"}
    assert there.asked == ["/info"]


def test_an_error_is_none(engine) -> None:
    assert ask(engine({}).path, "/info") is None


@pytest.mark.parametrize("raw", [b"<html>", b"\xff\xfe", b"{"])
def test_what_is_no_json_is_none(engine, raw: bytes) -> None:
    assert ask(engine({"/info": raw}).path, "/info") is None


def test_no_socket_is_none(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "none"), "/info") is None
    assert ask(str(tmp_path / ("x" * 200)), "/info") is None  # longer than a socket's path may be


def test_a_dead_socket_is_none(sockets: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(sockets / "dead"))
    assert ask(str(sockets / "dead"), "/info") is None


@pytest.mark.parametrize("manner", ["silent", "hangs up", "garbage", "cut short"])
def test_an_engine_without_manners_is_none_in_time(sockets: Path, manner: str) -> None:
    say = {
        "garbage": b"SSH-2.0-dockerd\r\n",
        "cut short": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"ID"',
    }
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sockets / "rude"))
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                if manner == "silent":
                    client.recv(1000)
                    client.recv(1000)  # until the asker has had enough
                elif manner != "hangs up":
                    client.recv(1000)
                    client.sendall(say[manner])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ask(str(sockets / "rude"), "/info", timeout=0.3) is None
        thread.join(5)
        assert not thread.is_alive()


def test_no_right_to_ask_is_told(engine) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may ask any socket")
    there = engine({"/info": {}})
    Path(there.path).chmod(0)
    with pytest.raises(PermissionError):
        ask(there.path, "/info")


def test_a_container_is_stopped_as_docker_does(engine, tmp_path: Path) -> None:
    there = engine({"/containers/a/stop?t=10": {}})
    assert stop_container(there.path, "a") == ""
    assert stop_container(there.path, "gone") == ""
    assert "No such file" in stop_container(str(tmp_path / "none"), "a")
