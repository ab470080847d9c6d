"""scripts/pin-sysbox from end to end, against two hosts at loopback: nothing is written unless both have the same right packages."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.hosts.doubles import sysbox_deb
from tests.unit.roles.conftest import REPOSITORY

VERSION = "0.7.2"
ARCHITECTURES = ("amd64", "arm64")
TABLE = REPOSITORY / "roles/sysbox/vars/main.yml"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package for each architecture."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not on this machine")
    folder = tmp_path_factory.mktemp("packages")
    return {name: sysbox_deb.build(folder, VERSION, name) for name in ARCHITECTURES}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Hosts:
    """Two folders that are served: the first names its packages with -0, the second without."""

    def __init__(self, folder: Path, packages: dict[str, Path]) -> None:
        self.folder = folder
        for name in ARCHITECTURES:
            for place in (self.file("one", name), self.file("two", name)):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(packages[name], place)
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.table = folder / "main.yml"
        shutil.copy(TABLE, self.table)

    def file(self, host: str, architecture: str) -> Path:
        number = VERSION + ("-0" if host == "one" else "")
        return self.folder / host / f"v{VERSION}" / f"sysbox-ce_{number}.linux_{architecture}.deb"

    def pin(self, *words: str, version: str = VERSION, hosts: tuple[str, ...] = ("one", "two")) -> tuple[int, str]:
        """Run the script as a maintainer would; return its exit code and what it said."""
        base = f"http://127.0.0.1:{self.server.server_port}"
        places = [word for host in hosts for word in ("--host", f"{base}/{host}/v{{version}}")]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(
            [sys.executable, REPOSITORY / "scripts/pin-sysbox", version, "--table", self.table, *places, *words],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def hosts(tmp_path: Path, packages: dict[str, Path]) -> Iterator[Hosts]:
    made = Hosts(tmp_path, packages)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_release_that_both_hosts_have_is_written(hosts: Hosts, packages: dict[str, Path]) -> None:
    before = hosts.table.read_text()
    code, said = hosts.pin()
    assert code == 0, said
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in packages.items()}
    known = yaml.safe_load(hosts.table.read_text())["__sysbox_known_sha256"]
    assert known == {**yaml.safe_load(before)["__sysbox_known_sha256"], VERSION: sums}
    assert list(known) == sorted(known)
    assert all(value in said for value in sums.values())
    lines = [f"  {VERSION}:", *(f"    {name}: {value}" for name, value in sums.items())]
    assert hosts.table.read_text().replace("\n".join(lines) + "\n", "") == before
    after = hosts.table.read_text()
    assert hosts.pin()[0] == 0
    assert hosts.table.read_text() == after


def other_bytes(hosts: Hosts) -> None:
    with hosts.file("two", "arm64").open("ab") as package:
        package.write(b"\n")


def other_architecture(hosts: Hosts) -> None:
    for host in ("one", "two"):
        shutil.copy(hosts.file(host, "amd64"), hosts.file(host, "arm64"))


def no_package(hosts: Hosts) -> None:
    hosts.file("one", "amd64").write_bytes(b"<html>log in</html>")


def other_sums_in_the_table(hosts: Hosts) -> None:
    entry = f"  {VERSION}:\n    amd64: {'a' * 64}\n    arm64: {'b' * 64}\n"
    text = hosts.table.read_text()
    at = text.index("  0.7.1:")
    hosts.table.write_text(text[:at] + entry + text[at:])


# What is wrong -> what is said.
WRONG = {
    "the hosts differ": (other_bytes, "The packages for arm64 differ"),
    "a package for another architecture": (other_architecture, "sysbox-ce 0.7.2 for arm64 is needed"),
    "a page that asks to log in": (no_package, "is no Debian package"),
    "one host has none": (lambda hosts: hosts.file("two", "amd64").unlink(), "HTTP 404"),
    "the table has other sums": (other_sums_in_the_table, "has other sums of 0.7.2"),
    "a table that is none": (lambda hosts: hosts.table.write_text("---\n"), "no table"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG.keys())
def test_nothing_is_written_otherwise(hosts: Hosts, wrong: object, said: str) -> None:
    wrong(hosts)
    before = hosts.table.read_bytes()
    code, told = hosts.pin()
    assert code == 1
    assert told.startswith("Nothing was written.")
    assert said in told
    assert hosts.table.read_bytes() == before
    assert sorted(path.name for path in hosts.folder.iterdir()) == ["main.yml", "one", "two"]


def test_one_host_alone_cannot_decide(hosts: Hosts) -> None:
    code, said = hosts.pin(hosts=("one", "one"))
    assert code == 1
    assert "Two hosts are needed" in said


@pytest.mark.parametrize("version", ["0.7", "v0.7.2", "../0.7.2", "latest"])
def test_a_version_is_a_version(hosts: Hosts, version: str) -> None:
    assert "is no version" in hosts.pin(version=version)[1]
