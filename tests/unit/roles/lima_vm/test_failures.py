"""`cai setup` on a Mac made of stand-ins, when something fails: exit code, what is found, what to type; mended, the next run goes on.

One refusal and one failed step go through the whole command here; each other one is seen at its module (preflight/, test_brew.py, test_instance.py).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from .mac import Mac

pytestmark = pytest.mark.ansible

ROOM = ("-e", "lima_vm_min_free_disk_gib=0")  # the disk of the machine that runs this is not the subject


def refused(mac: Mac, code: int, found: str, hint: str, *words: str) -> None:
    """Run the command, which ends with this code and says so."""
    done = mac.cai("setup", *ROOM, *words)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert "is ready" not in said
    assert found in said.partition("Error: ")[2].partition(" Hint: ")[0]
    assert hint in said.partition(" Hint: ")[2]
    assert not list(mac.home.glob(".lima/*/*.pid"))


@pytest.mark.slow
def test_what_stops_or_fails_is_said_and_the_next_run_goes_on(mac: Mac) -> None:
    """A stand-in has nobody inside, so the first step in the VM ends even a good run: unreachable."""
    refused(mac, 3, "Homebrew is missing", "brew.sh")
    brew = ("-e", f"lima_vm_brew={mac.brew()}")
    mac.lima(start="timeout")
    refused(mac, 1, "the guest's last words", "lima_vm_start_timeout", *brew)
    calls = [json.loads(line)["argv"] for line in (mac.bin / "brew.calls").read_text().splitlines()]
    assert calls == [["install", "lima"], ["install", "docker"]]
    mac.lima()
    done = mac.cai("setup", *ROOM, *brew, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 4, done.stderr
    steps = {step["name"]: step["status"] for step in document["steps"]}
    assert steps["Create and start the VM"] == "changed"
    assert steps["Check that this host can carry the secure engine"] == "unreachable"
    (error,) = document["errors"]
    assert "Connection closed by remote host" in error["message"] + error["details"]
    assert len(list(mac.home.rglob("containai-secure/*.pid"))) == 2  # it is left running, for a look into it
    assert (mac.home / ".lima/containai-secure/sock/docker.sock").is_socket()
