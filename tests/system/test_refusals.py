"""Machines that cannot carry the engine: setup and doctor say what was found and how to mend it, with exit code 3, and nothing changes."""

from __future__ import annotations

import json

import pytest

from tests.hosts import host
from tests.system import snapshot
from tests.system.box import VENV, Box

DRESSES = {
    "wsl1": ("WSL2 is needed", "wsl --set-version"),
    "container": ("This is a container", "container"),
    "nosystemd": ("systemd", "systemd=true"),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_machine_that_cannot_carry_the_engine_is_refused(hosts, dress: str) -> None:
    box: Box = hosts(f"no-{dress}", dress=dress)
    before = box.snapshot()
    # Not through systemd, which one of them does not run.
    done = host.login(box.name, f"{VENV}/bin/cai setup", check=False)
    said = done.stdout + done.stderr
    print(said)
    assert done.returncode == 3, said
    for word in DRESSES[dress]:
        assert word in said
    assert "Traceback" not in said
    (finding,) = json.loads(host.login(box.name, f"{VENV}/bin/cai doctor --json", check=False).stdout)["findings"]
    assert (finding["part"], finding["status"]) == ("platform", "fail")
    assert "`" in finding["hint"]
    assert snapshot.difference(before, box.snapshot()) == []
    hosts.drop(box.name)
