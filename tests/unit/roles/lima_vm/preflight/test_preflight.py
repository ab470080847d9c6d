"""lima_vm_preflight: Intel, Apple silicon and Linux; each refusal says what was found, is needed and to type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Call, Mac, Usage

FORMER = "# edited\nprovision:\n- {mode: data, path: /etc/systemd/system/docker.socket.d/containai.conf, content: x}\n"


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
