"""Docker Desktop on a Mac made of stand-ins: untouched, and where a program touches it all the same, the run fails and says what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vm import desktop

from .mac import Mac

pytestmark = pytest.mark.ansible

ROOM = ("-e", "lima_vm_min_free_disk_gib=0")
LINUX = f"contexts/meta/{desktop.digest('desktop-linux')}/meta.json"
WORK = f"contexts/meta/{desktop.digest('work')}/meta.json"
# A file, what a rude program writes into it, and what has to be said then.
TOUCHES = (
    (
        "config.json",
        json.dumps({"currentContext": "default"}),
        "the active docker context: desktop-linux before, default now",
    ),
    ("config.json", json.dumps({"currentContext": "default"}), "~/.docker/config.json"),
    ("daemon.json", "{}", "~/.docker/daemon.json"),
    (LINUX, "{}", LINUX),
    (WORK, "{}", WORK),
)


@pytest.fixture
def docker(mac: Mac) -> Path:
    """The settings of a Docker Desktop in use, on a Mac with everything installed."""
    mac.have("limactl", "docker", "ssh")
    mac.lima()
    desktop.furnish(mac.home)
    return mac.home / ".docker"


@pytest.mark.slow
def test_it_stays_as_it_was(mac: Mac, docker: Path) -> None:
    before = desktop.state(docker)
    for words, code in ((("setup", "--dry-run"), 0), (("setup",), 4), (("doctor",), 1), (("uninstall", "--yes"), 0)):
        done = mac.cai(*words, *ROOM)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Healthy" not in done.stdout  # nobody can be asked in the VM
        assert desktop.state(docker, leave_out=desktop.digest("containai-secure")) == before


def test_what_is_touched_during_a_setup_fails_it_and_is_named(mac: Mac, docker: Path) -> None:
    mac.lima(meddles={str(docker / name): text for name, text, _ in TOUCHES})
    done = mac.cai("setup", *ROOM)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Something that is not ours changed during this run" in done.stderr
    for _, _, found in TOUCHES:
        assert found in done.stderr
    assert "is ready" not in done.stdout


@pytest.mark.slow
def test_it_is_looked_at_after_a_failure_as_well(mac: Mac, docker: Path) -> None:
    mac.lima(meddles={str(docker / "daemon.json"): "{}"}, start="timeout")
    done = mac.cai("setup", *ROOM)
    assert done.returncode == 1
    assert "~/.docker/daemon.json" in done.stderr


@pytest.mark.slow
def test_what_is_touched_during_a_removal_fails_it_and_is_named(mac: Mac, docker: Path) -> None:
    mac.made_vm()
    mac.lima(meddles={str(docker / "config.json"): "{}"})
    done = mac.cai("uninstall", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the active docker context: desktop-linux before, default now" in done.stderr
