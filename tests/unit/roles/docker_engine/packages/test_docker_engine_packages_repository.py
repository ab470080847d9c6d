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
from ansible.module_utils import containai_docker_repository as repository

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
    assert Path(repository.KEYRING).read_bytes() == gnupg(
        "--export", "one@example.org"
    )  # binary: apt tells by the name
    lines = Path(repository.SOURCES).read_text().splitlines()
    assert "URIs: https://mirror.example.org/linux/debian" in lines
    assert "Suites: trixie" in lines
    assert "Architectures: amd64" in lines
    assert f"Signed-By: {repository.KEYRING}" in lines
    assert installs(commands) == [["docker-ce", "docker-ce-cli", "containerd.io"]]
    assert set(recorded()["files"]) == {repository.KEYRING, repository.SOURCES}
    assert not docker(module, "file:///nowhere", wanted)["changed"]  # the key is not fetched again


def test_the_repository_is_left_alone_where_docker_is_there(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    for name in ("dockerd", "docker"):
        commands.add(name)
    assert not docker(module, "file:///nowhere", "0" * 40)["changed"]
    assert not (tmp_path / "keyrings").exists()


URL = "https://mirror.example.org/linux/debian"
THEIRS = {
    "docker.list": "# docker\ndeb [arch=amd64 signed-by={key}] {url}/ trixie stable # a comment\n",
    "docker.sources": "Types: deb\nURIs: {url}\nSuites: trixie\nComponents: stable\nSigned-By: {key}\n",
}


def theirs(tmp_path: Path, name: str, key: Path | str) -> Path:
    path = tmp_path / "sources.list.d" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(THEIRS[name].format(url=URL, key=key))
    return path


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("check", [True, False])
def test_a_source_that_is_there_is_used(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, name: str, check: bool
) -> None:
    """As Docker's own instructions make it. A second one with another path of its key would stop apt altogether."""
    key = tmp_path / "docker.asc"
    key.write_bytes(gnupg("--armor", "--export", "one@example.org"))
    theirs(tmp_path, name, key)
    answer = docker(module, "file:///nowhere", fingerprint(gnupg, "one"), check=check)
    assert [verb for verb, _ in answer.actions] == ["install"] * 3
    assert [path.name for path in (tmp_path / "sources.list.d").iterdir()] == [name]


def test_a_source_that_holds_its_key_is_used(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path
) -> None:
    lines = gnupg("--armor", "--export", "one@example.org").decode().splitlines()
    theirs(tmp_path, "docker.sources", "\n" + "\n".join(f" {line or '.'}" for line in lines))
    assert not docker(module, "file:///nowhere", fingerprint(gnupg, "one")).get("failed")


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("key", ["", "/none.asc", "two.gpg"])
def test_a_source_with_another_key_is_refused(
    module: ModuleType,
    host: Path,
    gnupg: Callable[..., bytes],
    tmp_path: Path,
    commands: Commands,
    check: bool,
    key: str,
) -> None:
    (tmp_path / "two.gpg").write_bytes(gnupg("--export", "two@example.org"))
    path = theirs(tmp_path, "docker.sources", tmp_path / key if key == "two.gpg" else key)
    answer = docker(module, "file:///nowhere", fingerprint(gnupg, "one"), check=check)
    assert answer["failure"] == "precondition"
    assert str(path) in answer["msg"]
    assert "`cai setup -e docker_engine_source=distro`" in answer["hint"]
    assert [call for call in commands.of("apt-get") if "--simulate" not in call] == []


@pytest.mark.parametrize(
    "text",
    ["Types: deb\nEnabled: no\nURIs: {url}\nSuites: trixie\n", "Types: deb-src\nURIs: {url}\nSuites: trixie\n", "Types: deb\nURIs: {url}\nSuites: sid\n"],
)  # fmt: skip
def test_a_source_of_something_else_is_not_asked(module: ModuleType, host: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "x.sources").write_text(text.format(url=URL))
    assert not docker(module, "file:///nowhere", "0" * 40, check=True).get("failed")


def test_a_repository_that_apt_cannot_use_is_taken_out_again(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path
) -> None:
    url, wanted = key_file(tmp_path, gnupg("--export", "one@example.org")), fingerprint(gnupg, "one")
    (tmp_path / "unreadable").touch()
    (tmp_path / "broken").touch()
    answer = docker(module, url, wanted)
    assert "could not be read" in answer["msg"]
    assert "`cai setup -e docker_engine_source=distro`" in answer["hint"]
    assert not Path(repository.SOURCES).exists()
    assert not Path(repository.KEYRING).exists()
    (tmp_path / "unreadable").unlink()
    (tmp_path / "broken").unlink()
    assert docker(module, url, wanted)["changed"]
    assert Path(repository.SOURCES).exists()


def test_no_key_where_it_should_be_is_said(module: ModuleType, host: Path, tmp_path: Path, commands: Commands) -> None:
    answer = docker(module, f"file://{tmp_path}/none.gpg", "0" * 40)
    assert "none.gpg" in answer["msg"]
    assert "docker_engine_apt_key_url" in answer["hint"]
    assert [call for call in commands.of("apt-get") if "--simulate" not in call] == []


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
