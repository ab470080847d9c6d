"""The package is fetched once, whole and with the right checksum, from a server or a file; a fault is said and leaves nothing."""

from __future__ import annotations

import gc
import hashlib
import http.server
import os
import threading
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_deb as deb

from tests.unit.roles.sysbox.package.host import package


class Server:
    """A server with every bad manner there is."""

    def __init__(self, data: bytes) -> None:
        outer = self
        self.asked: list[str] = []
        self.done = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                manner = self.path.strip("/")
                if manner == "loop":
                    self.send_response(302)
                    self.send_header("Location", "/loop")
                    self.end_headers()
                elif manner == "moved":
                    self.send_response(302)
                    self.send_header("Location", "/good")
                    self.end_headers()
                elif manner in ("404", "503") or "-0.linux" in manner:
                    self.send_error(503 if manner == "503" else 404)
                elif manner == "hangs":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data[:5])
                    self.wfile.flush()
                    outer.done.wait(20)
                elif manner == "garbage":
                    self.wfile.write(b"SSH-2.0-server\r\n")
                elif manner == "chunk":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
                else:
                    self.send_response(200)
                    length = {"short": len(data) + 100, "nonsense": "many"}.get(manner, len(data))
                    self.send_header("Content-Length", str(length))
                    self.end_headers()
                    self.wfile.write(data[:-1] + b"X" if manner == "other" else data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{manner}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    made = Server(package())
    yield made
    made.done.set()
    made.server.shutdown()
    made.server.server_close()


SUM = hashlib.sha256(package()).hexdigest()


@pytest.mark.parametrize("manner", ["good", "moved"])
def test_a_package_is_fetched_once(server: Server, tmp_path: Path, manner: str) -> None:
    path = Path(deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads")))
    assert path.read_bytes() == package()
    asked = len(server.asked)
    assert deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads")) == str(path)
    assert len(server.asked) == asked


def test_a_damaged_file_of_an_earlier_run_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = Path(deb.fetch(server.url("good"), SUM, str(tmp_path)))
    path.write_bytes(b"damaged")
    assert Path(deb.fetch(server.url("good"), SUM, str(tmp_path))).read_bytes() == package()


FAULTS = {
    "404": "HTTP 404",
    "503": "HTTP 503",
    "loop": "HTTP 302",
    "short": "the connection ended after",
    "chunk": "",
    "garbage": "",
    "nonsense": "",
    "hangs": "timed out",
    "other": "has the sha256",
}


@pytest.mark.parametrize(("manner", "said"), FAULTS.items())
def test_a_fault_is_said_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str, said: str
) -> None:
    real = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: real(url, timeout=min(timeout, 0.5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib leaves an error's connection to the garbage collector
        with pytest.raises(deb.Failure) as fault:
            deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads"))
        message, hint = fault.value.message, fault.value.hint
        del fault
        gc.collect()
    assert said in message
    assert server.url(manner) in message
    assert "`" in hint
    assert list((tmp_path / "downloads").iterdir()) == []


def test_too_much_is_not_swallowed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "LARGEST", 10)
    with pytest.raises(deb.Failure, match="were sent"):
        deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"))
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.parametrize("name", ["sysbox.deb", "with space.deb", "100%41.deb", "a#b?c.deb", "grün.deb"])
def test_a_local_file_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(package())
    assert Path(deb.fetch(str(tmp_path / name), SUM, str(tmp_path / "downloads"))).read_bytes() == package()


def test_a_local_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(deb.Failure, match=r"none\.deb"):
        deb.fetch(str(tmp_path / "none.deb"), SUM, str(tmp_path / "downloads"))


def test_a_full_disk(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(deb.Failure, match="No space left on device"):
        deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"))
    assert list((tmp_path / "downloads").iterdir()) == []


def test_the_download_says_how_far_it_is(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(deb, "tell", lambda path, text: told.append(text))
    deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"), "x")
    assert told[-2].startswith("100%, ")
    assert told[-1] == ""


@pytest.mark.parametrize("number", ["0.7.2", "0.7.2-0"])
def test_a_release_is_found_under_either_of_its_names(server: Any, tmp_path: Path, number: str) -> None:
    name = f"v0.7.2/sysbox-ce_{number}.linux_amd64.deb"
    assert deb.fetch(server.url(name), hashlib.sha256(package()).hexdigest(), str(tmp_path / "downloads"))
    assert server.asked[-1] == "/v0.7.2/sysbox-ce_0.7.2.linux_amd64.deb"


def test_a_release_that_is_there_under_neither_name_is_told_by_the_first(server: Any, tmp_path: Path) -> None:
    url = server.url("none-0.linux/sysbox-ce_0.7.2-0.linux_amd64.deb")
    with pytest.raises(deb.Failure, match="HTTP 404"):
        deb.fetch(url, "0" * 64, str(tmp_path / "downloads"))


def test_a_file_of_another_name_has_no_other_name() -> None:
    for name in (
        "https://x/sysbox.deb",
        "https://x/sysbox-ce_0.7.2_amd64.deb",
        "/opt/sysbox-ce_1-0.linux_amd64.deb.old",
    ):
        assert deb.other_name(name) == name
    assert deb.other_name("https://x/sysbox-ce_0.6.4-0.linux_arm64.deb") == "https://x/sysbox-ce_0.6.4.linux_arm64.deb"
