"""lima_vm_preflight and lima_vm_brew: Intel, Apple silicon and Linux; each refusal says what was found, is needed and to type."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .conftest import STANDINS, Run, load

Call = Callable[..., dict[str, Any]]
Usage = namedtuple("Usage", "total used free")


class Mac:
    """A Mac made of stand-ins: a PATH, the places where Homebrew may be, a home."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.bin, self.monkeypatch = root, root / "bin", monkeypatch
        self.home = root / "h"
        for folder in (self.bin, self.home, root / "native", root / "intel"):
            folder.mkdir()
        for name in ("uname", "sw_vers", "sysctl"):
            shutil.copy(STANDINS / "mac", self.bin / name)
        self.module = load("lima_vm_preflight")
        self.places = {"aarch64": str(root / "native/brew"), "x86_64": str(root / "intel/brew")}
        monkeypatch.setattr(self.module, "BREW", self.places)
        monkeypatch.setattr(self.module, "DOCKER_DIRS", (str(root / "desktop"),))
        monkeypatch.setattr(self.module.os, "geteuid", lambda: 501)
        monkeypatch.setattr(self.module.shutil, "disk_usage", lambda _: Usage(0, 0, 50 << 30))
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.delenv("LIMA_HOME", raising=False)
        self.set_path(self.bin)

    def set_path(self, *folders: Path) -> None:
        # The first python3 on PATH may be a version manager's script, which finds nothing on this PATH.
        for program in (Path(sys.executable).resolve(), Path("/bin/sh"), Path("/usr/bin/env")):
            link = self.bin / ("python3" if program.name.startswith("python") else program.name)
            if not link.exists():
                link.symlink_to(program)
        self.monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))

    def put(self, name: str, where: str, source: str | None = None) -> Path:
        target = self.root / where / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(STANDINS / (source or name), target)
        return target


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mac]:
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as root:  # pytest's own folders are too long for a socket
        yield Mac(Path(root), monkeypatch)


@pytest.fixture
def look(run: Run, mac: Mac) -> Call:
    def call(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run(mac.module, check, name="containai-secure", **arguments)

    return call


@pytest.mark.parametrize(
    ("silicon", "process", "arch", "place"),
    [("arm64", "", "aarch64", "native"), ("arm64", "x86_64", "aarch64", "native"), ("x86_64", "", "x86_64", "intel")],
)
def test_the_real_architecture_chooses_homebrew(
    look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch, silicon: str, process: str, arch: str, place: str
) -> None:
    monkeypatch.setenv("MAC_ARCH", silicon)
    monkeypatch.setenv("MAC_PROCESS", process)
    for where in ("native", "intel"):
        mac.put("brew", where)
        mac.put("limactl", where)
    mac.put("docker", "desktop")
    host = look()["host"]
    assert (host["system"], host["architecture"], host["missing"]) == ("Darwin", arch, [])
    assert host["brew"] == str(mac.root / place / "brew")
    assert host["limactl"] == str(mac.root / place / "limactl")
    assert host["lima_version"] == "2.2.0"
    assert host["socket"] == str(mac.home / ".lima/containai-secure/sock/docker.sock")


def test_what_is_missing_is_listed(look: Call, mac: Mac) -> None:
    mac.put("brew", "native")
    assert look()["host"]["missing"] == ["lima", "docker"]
    mac.put("limactl", "native")
    assert look()["host"]["missing"] == ["docker"]


def test_docker_desktops_own_cli_will_do(look: Call, mac: Mac) -> None:
    mac.put("brew", "native")
    mac.put("limactl", "native")
    mac.put("docker", "desktop")
    host = look()["host"]
    assert host["missing"] == []
    assert host["docker"] == str(mac.root / "desktop/docker")


def test_missing_homebrew_stops_a_run_but_not_a_plan(look: Call) -> None:
    result = look()
    assert (result["failed"], result["failure"]) == (True, "precondition")
    assert "Homebrew is missing" in result["msg"]
    assert "brew.sh" in result["hint"]
    plan = look(check=True)
    assert plan["host"]["missing"] == ["lima", "docker"]
    assert "will stop here" in "".join(plan["warnings"])


def test_an_intel_homebrew_on_apple_silicon_is_refused(look: Call, mac: Mac) -> None:
    mac.put("brew", "intel")
    result = look()
    assert "for Intel only" in result["msg"]
    assert mac.places["aarch64"] in result["msg"]
    assert result["failure"] == "precondition"


def test_an_intel_lima_on_apple_silicon_is_refused(look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    mac.put("limactl", "bin")
    monkeypatch.setattr(mac.module.os.path, "realpath", lambda _: "/usr/local/Cellar/lima/2.2.0/bin/limactl")
    result = look()
    assert "Intel Lima" in result["msg"]
    assert "/opt/homebrew/bin/brew install lima" in result["hint"]


@pytest.mark.parametrize(("version", "fails"), [("12.7.1", True), ("13.4", True), ("13.5", False), ("26.0", False)])
def test_macos_version(look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch, version: str, fails: bool) -> None:
    monkeypatch.setenv("MAC_VERSION", version)
    mac.put("brew", "native")
    result = look()
    assert result.get("failed", False) is fails
    if fails:
        assert f"macOS {version} is too old; 13.5 or newer is needed." in result["msg"]
        assert result["failure"] == "unsupported"
        assert "softwareupdate" in result["hint"]
        assert look(check=True)["failed"] is True


def test_lima_1_is_refused_with_the_upgrade(look: Call, mac: Mac) -> None:
    mac.put("brew", "native")
    mac.put("limactl", "native")
    lima_home = mac.home / ".lima"
    lima_home.mkdir()
    (lima_home / "_standin.json").write_text(json.dumps({"version": "1.2.1"}))
    result = look()
    assert result["msg"] == "Lima 1.2.1 is too old; 2.0.0 or newer is needed."
    assert f"{mac.places['aarch64']} upgrade lima" in result["hint"]
    (lima_home / "_standin.json").write_text(json.dumps({"version": "2.0.0"}))
    assert "failed" not in look()


def test_a_long_home_path_is_refused_with_the_way_out(look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    mac.put("brew", "native")
    overhead = len("/containai-secure/ssh.sock.1234567890123456")
    result = look(home="/" + "x" * (104 - overhead - 1))
    assert "has 104 bytes; fewer than 104" in result["msg"]
    assert "export LIMA_HOME=" in result["hint"]
    assert result["failure"] == "precondition"
    assert "failed" not in look(home="/" + "x" * (104 - overhead - 2))
    monkeypatch.setenv("LIMA_HOME", "/short")
    assert look()["host"]["home"] == "/short"


def test_a_full_disk_is_refused_unless_the_vm_has_its_disk(
    look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac.put("brew", "native")
    monkeypatch.setattr(mac.module.shutil, "disk_usage", lambda _: Usage(0, 0, 3 << 30))
    result = look()
    assert "3.0 GiB are free" in result["msg"]
    assert "needs 20 GiB" in result["msg"]
    assert result["failure"] == "precondition"
    folder = mac.home / ".lima/containai-secure"
    folder.mkdir(parents=True)
    (folder / "disk").touch()
    assert "failed" not in look()


def test_root_is_refused(look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac.module.os, "geteuid", lambda: 0)
    result = look()
    assert "ordinary user" in result["msg"]
    assert "without sudo" in result["hint"]


@pytest.mark.parametrize(
    ("image", "fails"),
    [
        ({"location": "https://mirror/x.img"}, True),
        ({"location": "https://mirror/x.img", "digest": "sha256:12"}, True),
        ({"location": "https://mirror/x.img", "digest": "sha256:" + "a" * 64}, False),
        ({"location": "/local/x.img"}, False),
        ({"location": "/local/x.img", "kernel": {"location": "http://mirror/vmlinuz"}}, True),
    ],
)
def test_what_is_fetched_needs_a_digest(look: Call, mac: Mac, image: dict[str, Any], fails: bool) -> None:
    mac.put("brew", "native")
    result = look(images=[image])
    assert result.get("failed", False) is fails
    if fails:
        assert "has no digest" in result["msg"]


def test_limas_own_overrides_are_pointed_out(look: Call, mac: Mac) -> None:
    mac.put("brew", "native")
    config = mac.home / ".lima/_config"
    config.mkdir(parents=True)
    (config / "override.yaml").write_text("cpus: 1\n")
    assert "override.yaml" in "".join(look()["warnings"])


def linux(mac: Mac) -> None:
    (mac.bin / "uname").write_text('#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo x86_64\n')
    mac.monkeypatch.setenv("QEMU_SYSTEM_X86_64", "qemu")


def test_linux_has_no_homebrew(look: Call, mac: Mac) -> None:
    linux(mac)
    mac.put("brew", "intel")
    result = look()
    assert "Missing on this host: lima, docker" in result["msg"]
    mac.put("limactl", "bin")
    mac.put("docker", "bin")
    host = look()["host"]
    assert (host["system"], host["brew"], host["missing"]) == ("Linux", "", [])


def test_linux_and_kvm(mac: Mac, tmp_path: Path) -> None:
    class Module:
        def __init__(self) -> None:
            self.warned: list[str] = []

        def warn(self, text: str) -> None:
            self.warned.append(text)

    module = Module()
    mac.monkeypatch.delenv("QEMU_SYSTEM_X86_64", raising=False)
    mac.module.check_kvm(module, str(tmp_path / "none"))
    assert "emulated" in module.warned[0]
    device = tmp_path / "kvm"
    device.touch()
    mac.module.check_kvm(module, str(device))
    mac.monkeypatch.setattr(mac.module.os, "access", lambda *_: False)
    with pytest.raises(Exception, match="may not open"):
        mac.module.check_kvm(module, str(device))


def test_another_system_is_refused(look: Call, mac: Mac) -> None:
    (mac.bin / "uname").write_text("#!/bin/sh\necho FreeBSD\n")
    result = look()
    assert (result["failure"], "FreeBSD" in result["msg"]) == ("unsupported", True)


@pytest.fixture
def brew(tmp_path: Path) -> Path:
    shutil.copy(STANDINS / "brew", tmp_path / "brew")
    for name in ("limactl", "docker"):  # the stand-in pours its neighbours
        (tmp_path / "cellar").mkdir(exist_ok=True)
        shutil.copy(STANDINS / name, tmp_path / "cellar" / name)
    link = tmp_path / "opt"
    link.mkdir()
    shutil.copy(STANDINS / "brew", tmp_path / "cellar/brew")
    (link / "brew").symlink_to(tmp_path / "cellar/brew")
    return link / "brew"


def test_brew_installs_what_is_missing_quietly(run: Run, brew: Path) -> None:
    module: ModuleType = load("lima_vm_brew")
    assert run(module, check=True, brew="", formulae=["lima", "docker"])["actions"] == [
        {"verb": "install", "what": "lima (Homebrew)"},
        {"verb": "install", "what": "docker (Homebrew)"},
    ]
    result = run(module, brew=str(brew), formulae=["lima", "docker"])
    assert (result["changed"], result["limactl"]) == (True, str(brew.parent / "limactl"))
    calls = [json.loads(line) for line in (brew.parent / "brew.calls").read_text().splitlines()]
    assert [call["argv"] for call in calls] == [["install", "lima"], ["install", "docker"]]
    assert calls[0]["environment"]["HOMEBREW_NO_AUTO_UPDATE"] == "1"
    assert calls[0]["environment"]["NONINTERACTIVE"] == "1"


def test_brew_fails_with_its_own_words(run: Run, brew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEBREW_FAILS", "1")
    result = run("lima_vm_brew", brew=str(brew), formulae=["lima"])
    assert "curl" in result["msg"]
    assert "brew install lima" in result["hint"]


def test_brew_with_old_formulae_is_told_to_update(
    run: Run, brew: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIMA_HOME", str(tmp_path))
    (tmp_path / "_standin.json").write_text(json.dumps({"version": "1.0.7"}))
    result = run("lima_vm_brew", brew=str(brew), formulae=["lima"])
    assert "Lima 1.0.7" in result["msg"]
    assert "upgrade lima" in result["hint"]


def test_a_missing_brew_program(run: Run) -> None:
    assert run("lima_vm_brew", brew="/nowhere/brew", formulae=["docker"])["failed"] is True


IMAGES = ("HTTPS://mirror/x.img", "ftp://mirror/x.img", 5, "", None)


@pytest.mark.parametrize("location", IMAGES)
def test_an_image_that_lima_would_fetch_or_trip_over_is_refused(look: Call, mac: Mac, location: Any) -> None:
    mac.put("brew", "native")
    result = look(images=[{"location": location}])
    assert (result["failed"], result["failure"]) == (True, "precondition")


@pytest.mark.parametrize(
    "name", ["a/b", "-x", "", "..", "_config", "default", "desktop-linux", "a.yaml", "a--b", "x" * 77, "é", "a\n"]
)
def test_a_name_that_lima_or_docker_takes_for_something_else_is_refused(run: Run, mac: Mac, name: str) -> None:
    mac.put("brew", "native")
    result = run(mac.module, name=name)
    assert result["failure"] == "precondition"
    assert "lima_vm_name" in result["msg"]


@pytest.mark.parametrize("name", ["containai-secure", "a", "a.b_c-1"])
def test_an_ordinary_name_is_taken(run: Run, mac: Mac, name: str) -> None:
    mac.put("brew", "native")
    assert run(mac.module, name=name)["host"]["directory"].endswith(f"/{name}")


@pytest.mark.parametrize(
    "proxy", [{"HTTPS_PROXY": "http://{{.Home}}"}, {"HTTPS_PROXY": 'a"b'}, {"PATH": "/x"}, {"HTTPS_PROXY": 3128}]
)
def test_a_proxy_that_lima_or_systemd_would_read_otherwise_is_refused(
    look: Call, mac: Mac, proxy: dict[str, Any]
) -> None:
    mac.put("brew", "native")
    result = look(proxy=proxy)
    assert result["failure"] == "precondition"
    assert "lima_vm_proxy" in result["msg"]


FORMER = "# edited\nprovision:\n- {mode: data, path: /etc/systemd/system/docker.socket.d/containai.conf, content: x}\n"


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("images: [{location: /x}]\n", True),
        ("not: [yaml", True),
        ("# Made by the role lima_vm; x\nimages: []\n", False),
        ("# Made by the role lima_vm\nnot: [yaml", False),
        (FORMER, False),  # the comment was dropped
        ("", False),
    ],
)
def test_a_vm_of_somebody_else_is_left_alone(look: Call, mac: Mac, text: str, foreign: bool) -> None:
    mac.put("brew", "native")
    folder = mac.home / ".lima/containai-secure"
    folder.mkdir(parents=True)
    (folder / "lima.yaml").write_text(text)
    mac.put("limactl", "native")
    for missing_ok in (False, True):  # a setup, and a removal
        result = look(missing_ok=missing_ok)
        assert result.get("failed", False) is foreign
        if foreign:
            assert "which cai has not made" in result["msg"]
            assert "limactl rename containai-secure" in result["hint"]
            assert result["failure"] == "precondition"


def test_a_vm_without_limactl_is_not_forgotten_by_a_removal(look: Call, mac: Mac) -> None:
    folder = mac.home / ".lima/containai-secure"
    folder.mkdir(parents=True)
    (folder / "lima.yaml").write_text(FORMER)
    for check in (True, False):
        result = look(check, missing_ok=True)
        assert result["failure"] == "precondition"
        assert "brew install lima" in result["hint"]
    assert "failed" not in look(missing_ok=True, report=True)


def test_the_way_out_of_a_long_path_is_itself_short_enough_and_nobody_elses(
    look: Call, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac.put("brew", "native")
    assert "mkdir -p -m 700 ~/.l && export LIMA_HOME=~/.l" in look(home="/" + "x" * 99)["hint"]
    monkeypatch.setenv("HOME", "/" + "x" * 99)
    assert "export LIMA_HOME=$(mktemp -d /Users/Shared/l-XXXXXX)" in look()["hint"]
    assert "lima_vm_name" in mac.module.shorter("x" * 76, "Darwin")
