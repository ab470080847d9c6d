"""Docker's own repository is set up with its key, which is fetched once; a fetch that fails is said."""

from __future__ import annotations

import gc
import http.server
import os
import socket
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands
from tests.unit.roles.docker_engine.packages.runs import docker, fingerprint, installs, key_file


def test_the_repository_is_set_up_with_its_key(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, commands: Commands, recorded
) -> None:
    data, wanted = gnupg("--armor", "--export", "one@example.org"), fingerprint(gnupg, "one")
    url = key_file(tmp_path, data)
    plan = docker(module, url, wanted, check=True)
    assert not (tmp_path / "keyrings").exists()
    assert not (tmp_path / "sources.list.d").exists()
    spaced = " ".join(wanted[start : start + 4] for start in range(0, 40, 4)).lower()
    answer = docker(module, url, spaced)
    assert plan["actions"] == answer["actions"]
    assert plan["diff"] == answer["diff"]
    assert Path(module.KEYRING).read_bytes() == gnupg("--export", "one@example.org")  # binary: apt tells by the name
    lines = Path(module.SOURCES).read_text().splitlines()
    assert "URIs: https://mirror.example.org/linux/debian" in lines
    assert "Suites: trixie" in lines
    assert "Architectures: amd64" in lines
    assert f"Signed-By: {module.KEYRING}" in lines
    assert installs(commands) == [["docker-ce", "docker-ce-cli", "containerd.io"]]
    assert set(recorded()["files"]) == {module.KEYRING, module.SOURCES}
    assert not docker(module, "file:///nowhere", wanted)["changed"]  # the key is not fetched again


def test_the_repository_is_left_alone_where_docker_is_there(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    for name in ("dockerd", "docker"):
        commands.add(name)
    assert not docker(module, "file:///nowhere", "0" * 40)["changed"]
    assert not (tmp_path / "keyrings").exists()


def test_no_key_where_it_should_be_is_said(module: ModuleType, host: Path, tmp_path: Path, commands: Commands) -> None:
    answer = docker(module, f"file://{tmp_path}/none.gpg", "0" * 40)
    assert "none.gpg" in answer["msg"]
    assert "docker_engine_apt_key_url" in answer["hint"]
    assert commands.of("apt-get") == []


class Rude(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if "missing" in self.path:
            self.send_error(404)
        elif "short" in self.path:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
        elif "garbage" in self.path:
            self.wfile.write(b"SSH-2.0-server\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("manner", ["missing", "short", "garbage", "nobody listens"])
def test_a_server_without_manners_is_said(module: ModuleType, host: Path, manner: str) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{manner}"
        if manner == "nobody listens":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # urllib leaves an error's connection to the garbage collector
            answer = docker(module, url, "0" * 40)
            gc.collect()
        server.shutdown()
    assert answer["failure"] == "failed"
    assert url in answer["msg"]


def test_a_full_disk_is_said(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, wanted = key_file(tmp_path, gnupg("--export", "one@example.org")), fingerprint(gnupg, "one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = docker(module, url, wanted)
    assert "No space left on device" in answer["msg"]
    assert not docker(module, url, wanted).get("failed")
