"""`cai setup` on a Mac made of stand-ins, when something fails: exit code, what is found, what to type; mended, the next run goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .mac import Mac

pytestmark = pytest.mark.ansible

ROOM = ("-e", "lima_vm_min_free_disk_gib=0")  # the disk of the machine that runs this is not the subject


def setup(mac: Mac, code: int, *words: str) -> str:
    """Run the command, which ends with this code; returns what it said."""
    done = mac.cai("setup", *words)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert "is ready" not in said
    assert "<html" not in said  # what a server sent instead of an image
    return said


def refused(mac: Mac, code: int, found: str, hint: str, *words: str) -> None:
    said = setup(mac, code, *words)
    assert found in said.partition("Error: ")[2].partition(" Hint: ")[0]
    assert hint in said.partition(" Hint: ")[2]
    assert not list(mac.home.glob(".lima/*/*.pid"))


def goes_on(mac: Mac, *words: str) -> None:
    """The next run brings up the VM. A stand-in has nobody inside, so the first step there ends it: unreachable."""
    done = mac.cai("setup", *ROOM, *words, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 4, done.stderr
    steps = {step["name"]: step["status"] for step in document["steps"]}
    assert steps["Create and start the VM"] == "changed"
    assert steps["Check that this host can carry the secure engine"] == "unreachable"
    assert len(document["errors"]) == 1
    assert len(list(mac.home.rglob("containai-secure/*.pid"))) == 2


def fails_in_turn(mac: Mac, *faults: tuple[dict[str, str], str, str]) -> None:
    """One fault of limactl after the other (its settings, what is found, the hint), none of them mended before the next."""
    mac.have("limactl", "docker", "ssh")
    for fault, found, hint in faults:
        mac.lima(**fault)
        refused(mac, 1, found, hint, *ROOM)
    mac.lima()
    goes_on(mac)


def test_homebrew_missing(mac: Mac) -> None:
    refused(mac, 3, "Homebrew is missing", "brew.sh")
    mac.lima()
    goes_on(mac, "-e", f"lima_vm_brew={mac.brew()}")
    calls = [json.loads(line)["argv"] for line in (mac.bin / "brew.calls").read_text().splitlines()]
    assert calls == [["install", "lima"], ["install", "docker"]]


def test_homebrew_fails(mac: Mac) -> None:
    brew = mac.brew()
    mac.settings["HOMEBREW_FAILS"] = "1"
    refused(mac, 1, "`brew install lima` failed", f"{brew} install lima", *ROOM, "-e", f"lima_vm_brew={brew}")
    del mac.settings["HOMEBREW_FAILS"]
    mac.lima()
    goes_on(mac, "-e", f"lima_vm_brew={brew}")


def test_macos_12(mac: Mac) -> None:
    mac.be(MAC_VERSION="12.7.1")
    mac.have("limactl", "docker", "ssh")
    refused(mac, 3, "macOS 12.7.1 is too old; 13.5 or newer is needed", "softwareupdate")
    mac.be(MAC_VERSION="13.5")
    mac.lima()
    goes_on(mac)


def test_lima_1(mac: Mac) -> None:
    mac.have("limactl", "docker", "ssh")
    mac.lima(version="1.2.1")
    refused(mac, 3, "Lima 1.2.1 is too old; 2.0.0 or newer is needed", "upgrade lima")
    mac.lima()
    goes_on(mac)


def test_a_long_home_path(mac: Mac) -> None:
    mac.have("limactl", "docker", "ssh")
    mac.settings["LIMA_HOME"] = f"{mac.home}/{'x' * 80}"
    refused(mac, 3, "is too long", "export LIMA_HOME=")
    mac.settings["LIMA_HOME"] = f"{mac.home}/.lima"
    mac.lima()
    goes_on(mac)


def test_a_full_disk(mac: Mac) -> None:
    mac.have("limactl", "docker", "ssh")
    refused(mac, 3, "the VM needs 9999999 GiB", "make room", "-e", "lima_vm_min_free_disk_gib=9999999")
    mac.lima()
    goes_on(mac)


def test_a_failed_download(mac: Mac) -> None:
    fails_in_turn(
        mac,
        ({"create": "download"}, "unexpected HTTP status Not Found", "lima_vm_image_base_url"),
        ({"create": "enospc"}, "no space left on device", "make room"),  # the instance is there now, and has no disk
    )


def test_a_start_that_fails(mac: Mac) -> None:
    fails_in_turn(
        mac,
        ({"start": "probe"}, "did not start (and is stopped now)", "serial.log"),
        ({"start": "timeout"}, "the guest's last words", "lima_vm_start_timeout"),
    )


def test_a_vm_that_nobody_answers_in(mac: Mac) -> None:
    mac.have("limactl", "docker", "ssh")
    mac.lima()
    said = setup(mac, 4, *ROOM)
    assert "Connection closed by remote host" in said
    assert (mac.home / ".lima/containai-secure/sock/docker.sock").is_socket()  # it is left running, for a look into it
