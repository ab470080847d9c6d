"""Docker's packages come from a key that is the pinned one, wake nothing, and a killed run is taken up again."""

from __future__ import annotations

import base64
import gc
import http.server
import os
import shutil
import socket
import subprocess
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import SEARCH, Commands, load_module, run_module

HOST = {"distribution": "debian", "codename": "trixie", "architecture": "amd64"}
TOOLS = ("ip", "iptables", "nsenter")
GPG = shutil.which("gpg", path=SEARCH)


@pytest.fixture
def module(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module on a host that is all in tmp_path."""
    loaded = load_module("docker_engine_packages")
    monkeypatch.setattr(loaded, "PATH", commands.path)
    monkeypatch.setattr(loaded, "KEYRING", str(tmp_path / "keyrings" / "containai-docker.gpg"))
    monkeypatch.setattr(loaded, "SOURCES", str(tmp_path / "sources.list.d" / "containai-docker.sources"))
    return loaded


@pytest.fixture
def host(module: ModuleType, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose apt installs: programs of a package appear, its units too. Returns the folder of units."""
    units, masks, packages = tmp_path / "units", tmp_path / "masks", tmp_path / "packages"
    for folder in (units, masks):
        folder.mkdir()
    packages.write_text("libc6\n")
    monkeypatch.setattr(module, "UNITS", (str(units),))
    monkeypatch.setattr(module, "MASKS", str(masks))
    monkeypatch.setattr(module, "DOCKER", f"{commands.path}/docker")
    monkeypatch.setattr(module, "DIVERTED", f"{commands.path}/docker.containai")
    commands.link("cat", "touch", "chmod", "ls", "grep")
    commands.add(
        "dpkg-query",
        f'case "$1" in --search) [ -e {tmp_path}/owned ];; *) while read -r name; do echo "ii $name"; done <{packages};; esac',
    )
    commands.add("apt-cache", 'echo "Package: docker-cli"; echo')
    commands.add("dpkg", "exit 0")
    commands.add("dpkg-divert", "exit 0")
    commands.add("systemctl", "exit 0")
    commands.add(
        "apt-get",
        f"""case " $* " in *" update "*) exit 0;; esac
ls {masks} >>{tmp_path}/masked
for word; do case $word in
docker.io|docker-ce) [ -e {tmp_path}/broken ] && {{ echo "E: Unable to locate package $word" >&2; exit 100; }}
  echo $word >>{packages}; : >{commands.path}/dockerd; : >{commands.path}/containerd
  chmod +x {commands.path}/dockerd {commands.path}/containerd
  : >{units}/docker.service; : >{units}/docker.socket; : >{units}/containerd.service;;
docker-cli|docker-ce-cli) echo $word >>{packages}; [ -e {commands.path}/docker ] || : >{commands.path}/docker; chmod +x {commands.path}/docker;;
iproute2) : >{commands.path}/ip; chmod +x {commands.path}/ip;;
esac; done""",
    )
    for name in TOOLS:
        commands.add(name)
    return units


def distro(module: ModuleType, check: bool = False, **more: Any) -> Any:
    return run_module(module, check_mode=check, source="distro", host=HOST, **more)


def installs(commands: Commands) -> list[list[str]]:
    """The packages named in each apt-get install."""
    calls = [call for call in commands.of("apt-get") if "install" in call]
    return [
        [word for word in call[call.index("install") + 1 :] if not word.startswith("-") and "::" not in word]
        for call in calls
    ]


def test_a_bare_host_gets_the_packages(module: ModuleType, host: Path, commands: Commands, recorded) -> None:
    answer = distro(module)
    assert answer["changed"]
    assert answer.actions == [("install", "docker.io"), ("install", "docker-cli")]
    assert installs(commands) == [["docker.io", "docker-cli"]]
    assert answer["dockerd_path"] == f"{commands.path}/dockerd"
    assert answer["containerd_path"] == f"{commands.path}/containerd"
    assert recorded()["packages"] == ["docker-cli", "docker.io"]
    assert recorded()["installing"] == {}


def test_apt_waits_for_another_process(module: ModuleType, host: Path, commands: Commands) -> None:
    distro(module, apt_wait=7)
    waits = ["DPkg::Lock::Timeout=7" in call for call in commands.of("apt-get") if "install" in call]
    assert waits == [True]


def test_a_second_time_asks_apt_nothing(module: ModuleType, host: Path, commands: Commands, recorded) -> None:
    distro(module)
    before, calls = recorded(), len(commands.calls)
    answer = distro(module)
    assert not answer["changed"]
    assert answer["actions"] == []
    assert recorded() == before
    assert not [call for call in commands.calls[calls:] if call[0] in ("apt-get", "systemctl", "dpkg")]


def test_only_what_is_missing_is_installed(module: ModuleType, host: Path, commands: Commands) -> None:
    for name in ("dockerd", "docker"):
        commands.add(name)
    (commands.folder / "ip").unlink()
    assert distro(module).actions == [("install", "iproute2")]
    assert installs(commands) == [["iproute2"]]
    assert "--no-upgrade" in next(call for call in commands.of("apt-get") if "install" in call)


def test_check_mode_changes_nothing_and_says_the_same(
    module: ModuleType, host: Path, commands: Commands, state: Path, tmp_path: Path
) -> None:
    plan = distro(module, check=True)
    assert not [call for call in commands.calls if call[0] in ("apt-get", "systemctl", "dpkg", "dpkg-divert")]
    assert not state.exists()
    assert not (commands.folder / "dockerd").exists()
    assert plan["dockerd_path"] == "/usr/sbin/dockerd"  # where it will be
    assert plan["actions"] == distro(module)["actions"]


def test_new_services_are_masked_meanwhile_and_put_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    distro(module)
    assert (tmp_path / "masked").read_text().split() == ["containerd.service", "docker.service", "docker.socket"]
    assert list((tmp_path / "masks").iterdir()) == []
    assert ["disable", "--now", "docker.service", "docker.socket", "containerd.service"] in commands.of("systemctl")


def test_services_that_were_there_are_left(module: ModuleType, host: Path, commands: Commands, tmp_path: Path) -> None:
    for name in ("docker.service", "docker.socket", "containerd.service"):
        (host / name).touch()
    distro(module)
    assert (tmp_path / "masked").read_text() == ""
    assert [call for call in commands.of("systemctl") if call != ["daemon-reload"]] == []


def test_the_engine_of_a_vm_of_ours_is_not_put_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    distro(module, dedicated=False)
    assert (tmp_path / "masked").read_text() == ""
    assert [call for call in commands.of("systemctl") if call != ["daemon-reload"]] == []


def test_apts_word_is_passed_on_and_no_mask_stays(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    (tmp_path / "broken").touch()
    answer = distro(module)
    assert answer["failure"] == "failed"
    assert "E: Unable to locate package docker.io" in answer["msg"]
    assert "`sudo apt-get" in answer["hint"]
    assert list((tmp_path / "masks").iterdir()) == []
    assert "docker" in recorded()["installing"]


def test_the_run_after_a_killed_one_puts_its_services_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    """Killed inside apt: the packages are there, and their units, of which nobody knows any more that they are new."""
    (tmp_path / "broken").touch()
    distro(module)
    (tmp_path / "broken").unlink()
    subprocess.run(
        [f"{commands.path}/apt-get", "install", "docker.io", "docker-cli"], check=True, env={"PATH": commands.path}
    )
    calls = len(commands.calls)
    answer = distro(module)
    assert answer["changed"]
    new = commands.calls[calls:]
    assert ["systemctl", "disable", "--now", "docker.service", "docker.socket", "containerd.service"] in new
    assert ["dpkg", "--configure", "-a"] in new
    assert recorded()["packages"] == ["docker-cli", "docker.io"]
    assert recorded()["installing"] == {}
    assert not distro(module)["changed"]


def test_docker_desktops_link_is_left_and_the_package_diverted(
    module: ModuleType, host: Path, commands: Commands, recorded
) -> None:
    (commands.folder / "docker").symlink_to("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    distro(module)
    assert (commands.folder / "docker").readlink() == Path("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    assert installs(commands) == [["docker.io"]]
    diverts = commands.of("dpkg-divert")
    assert [(call[-1], call[call.index("--divert") + 1], "--no-rename" in call) for call in diverts] == [
        (module.DOCKER, module.DIVERTED, True)
    ]
    assert recorded()["diversions"] == [module.DIVERTED]


def test_a_packaged_cli_is_not_diverted(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    commands.add("docker")
    (tmp_path / "owned").touch()
    distro(module)
    assert commands.of("dpkg-divert") == []
    assert "diversions" not in recorded()


def test_a_distro_without_a_cli_package_is_not_asked_for_it(module: ModuleType, host: Path, commands: Commands) -> None:
    commands.add("apt-cache", "exit 100")
    assert distro(module).actions == [("install", "docker.io")]


def test_no_apt_is_said(module: ModuleType, host: Path, commands: Commands) -> None:
    (commands.folder / "apt-get").unlink()
    answer = distro(module)
    assert "apt-get" in answer["msg"]


# The repository and its key


@pytest.fixture(scope="session")
def gnupg(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Make real keys; gnupg('--export', ...) runs gpg over them."""
    if GPG is None:
        pytest.skip("gpg is not on this machine")
    import tempfile

    home = tempfile.mkdtemp(prefix="cai-gpg-")  # a short path: gpg-agent listens in it

    def gpg(*argv: str) -> bytes:
        result = subprocess.run([GPG, "--homedir", home, "--batch", "--quiet", *argv], capture_output=True, check=False)
        if result.returncode != 0:
            pytest.skip(f"gpg cannot make a key here: {result.stderr.decode().strip()}")
        return result.stdout

    for name, kind in (("one", "rsa2048"), ("two", "ed25519")):
        gpg("--passphrase", "", "--quick-generate-key", f"{name}@example.org", kind, "sign", "never")
    yield gpg
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)


def fingerprint(gnupg: Callable[..., bytes], name: str) -> str:
    listing = gnupg("--with-colons", "--list-keys", f"{name}@example.org").decode()
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("form", [["--armor"], [], ["--armor", "--comment", "a line: of comment"]])
def test_the_fingerprint_is_what_gpg_says(
    module: ModuleType, gnupg: Callable[..., bytes], name: str, form: list[str]
) -> None:
    data = gnupg(*form, "--export", f"{name}@example.org")
    assert module.primary_fingerprints(data) == [fingerprint(gnupg, name)]
    if form:
        assert module.primary_fingerprints(data.replace(b"\n", b"\r\n")) == [fingerprint(gnupg, name)]


def test_a_subkey_is_no_key_of_its_own(module: ModuleType, gnupg: Callable[..., bytes]) -> None:
    gnupg("--passphrase", "", "--quick-add-key", fingerprint(gnupg, "one"), "rsa2048", "encr", "never")
    assert module.primary_fingerprints(gnupg("--export", "one@example.org")) == [fingerprint(gnupg, "one")]


def docker(module: ModuleType, url: str, wanted: str, check: bool = False) -> Any:
    return run_module(
        module, check_mode=check, source="docker", host=HOST,
        apt_url="https://mirror.example.org/linux/{distribution}", apt_key_url=url, apt_key_fingerprint=wanted,
    )  # fmt: skip


def key_file(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "debian.gpg"
    path.write_bytes(data)
    return f"file://{tmp_path}/{{distribution}}.gpg"


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


def refused_key(module: ModuleType, tmp_path: Path, commands: Commands, data: bytes, wanted: str) -> str:
    answer = docker(module, key_file(tmp_path, data), wanted)
    assert answer["failed"]
    assert not (tmp_path / "keyrings").exists()
    assert commands.of("apt-get") == []
    return answer["msg"]


def test_another_key_is_refused(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, commands: Commands
) -> None:
    one, two = (fingerprint(gnupg, name) for name in ("one", "two"))
    message = refused_key(module, tmp_path, commands, gnupg("--armor", "--export", "two@example.org"), one)
    assert one in message
    assert two in message


@pytest.mark.parametrize("form", ["one block", "binary", "two blocks", "a block, then binary"])
def test_a_second_key_beside_the_right_one_is_refused(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, commands: Commands, form: str
) -> None:
    def export(*argv: str) -> bytes:
        return gnupg(*argv, "--export", "one@example.org"), gnupg(*argv, "--export", "two@example.org")

    data = {
        "one block": gnupg("--armor", "--export", "one@example.org", "two@example.org"),
        "binary": b"".join(export()),
        "two blocks": b"".join(export("--armor")),
        "a block, then binary": export("--armor")[0] + export()[1],
    }[form]
    refused_key(module, tmp_path, commands, data, fingerprint(gnupg, "one"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Please log in</html>",
        b"\x99",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\xff\xff\xff\xff",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ],
)
def test_what_is_no_key_is_refused(
    module: ModuleType, host: Path, tmp_path: Path, commands: Commands, data: bytes
) -> None:
    assert "key" in refused_key(module, tmp_path, commands, data, "0" * 40)


@pytest.mark.parametrize("damage", [b"", b"<html>", b"\x9b\xff\xff\xff\xff", b"-----BEGIN PGP PUBLIC KEY BLOCK-----"])
def test_a_damaged_keyring_is_fetched_again(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, damage: bytes
) -> None:
    data = gnupg("--export", "one@example.org")
    Path(module.KEYRING).parent.mkdir()
    Path(module.KEYRING).write_bytes(damage)
    answer = docker(module, key_file(tmp_path, data), fingerprint(gnupg, "one"))
    assert ("change", module.KEYRING) in answer.actions
    assert Path(module.KEYRING).read_bytes() == gnupg("--export", "one@example.org")  # binary: apt tells by the name


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


def test_armor_is_the_same_key(module: ModuleType) -> None:
    packets = b"\xc6\x03\x04ab"
    text = base64.b64encode(packets).decode()
    block = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{text}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert module.primary_fingerprints(block.encode()) == module.primary_fingerprints(packets)
