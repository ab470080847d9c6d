"""The module docker_engine_packages on a host whose apt installs, and real keys."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_apt_sources, containai_docker_repository

from tests.unit.roles.conftest import SEARCH, Commands, load_module

TOOLS = ("ip", "iptables", "nsenter")
GPG = shutil.which("gpg", path=SEARCH)


@pytest.fixture
def module(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module on a host that is all in tmp_path."""
    loaded = load_module("docker_engine_packages")
    monkeypatch.setattr(containai_apt_sources, "APT", str(tmp_path))
    monkeypatch.setattr(containai_docker_repository, "KEYRING", str(tmp_path / "keyrings" / "containai-docker.gpg"))
    monkeypatch.setattr(
        containai_docker_repository, "SOURCES", str(tmp_path / "sources.list.d" / "containai-docker.sources")
    )
    commands.add("apt-get", "exit 0")
    return loaded


@pytest.fixture
def host(module: ModuleType, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose apt installs: programs of a package appear, its units too. Returns the folder of units."""
    units, masks, packages = tmp_path / "units", tmp_path / "masks", tmp_path / "packages"
    for folder in (units, masks):
        folder.mkdir()
    packages.write_text("libc6\n")
    monkeypatch.setattr(module, "UNITS", (str(units),))
    monkeypatch.setattr("ansible.module_utils.containai_service_masks.MASKS", str(masks))
    monkeypatch.setattr("ansible.module_utils.containai_programs.DOCKER", f"{commands.path}/docker")
    monkeypatch.setattr(module, "DIVERTED", f"{commands.path}/docker.containai")
    commands.link("cat", "touch", "chmod", "ls", "grep", "rm")
    commands.add(
        "dpkg-query",
        f"""case "$*" in
--search*) [ -e {tmp_path}/owned ]; exit;;
*Conflicts*) [ ! -e {tmp_path}/relations ] || cat {tmp_path}/relations; exit;;
esac
while read -r name; do echo "ii $name"; done <{packages}""",
    )
    commands.add("apt-cache", 'echo "Package: docker-cli"; echo')
    commands.add("dpkg", '[ "$1" != --compare-versions ] || [ "$2" = 1.0 ]')
    commands.add("dpkg-divert", "exit 0")
    commands.add("systemctl", "exit 0")
    commands.add(
        "apt-get",
        f"""case " $* " in *" --simulate "*)
  for word; do [ -e {tmp_path}/simulated-$word ] && {{ cat {tmp_path}/simulated-$word; }}; done
  [ -e {tmp_path}/unplannable ] && exit 100; exit 0;;
*" update "*)
  [ -e {tmp_path}/locked ] && {{ rm {tmp_path}/locked; echo "E: Could not get lock {tmp_path}/lists/lock." >&2; exit 100; }}
  [ -e {tmp_path}/unreadable ] && {{ echo "E: The list of sources could not be read." >&2; exit 100; }}
  : >{tmp_path}/updated; exit 0;;
esac
ls {masks} >>{tmp_path}/masked
for word; do case $word in
docker.io|docker-ce) [ -e {tmp_path}/broken ] && {{ echo "W: Failed to fetch x  Could not connect to http://me:geheim@proxy:3128" >&2; echo "E: Unable to locate package $word" >&2; exit 100; }}
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
