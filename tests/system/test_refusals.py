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


@pytest.mark.slow
def test_a_folder_that_root_may_not_enter_is_named_before_anything_is_done(hosts) -> None:
    """As an encrypted home is: a FUSE file system that is open to its user alone."""
    box: Box = hosts("closed-home", dress="linux")
    box.sh("apt-get -qq install -y --no-install-recommends bindfs >/dev/null")
    # It lives in a service of its own, as it would in the user's session.
    box.sh(
        "su dev -c 'mkdir -p ~/.docker ~/plain' && systemd-run --quiet --unit=closed --uid=dev bindfs -f --no-allow-other /home/dev/plain /home/dev/.docker"
    )
    box.sh("for i in $(seq 100); do grep -q /home/dev/.docker /proc/self/mountinfo && exit 0; sleep 0.1; done; exit 1")
    assert not box.ok("ls /home/dev/.docker"), "root may enter it"
    before = box.snapshot()
    box.cai("setup").expect(3, "Root cannot read /home/dev/.docker", "Nothing was changed", "DOCKER_CONFIG")
    assert snapshot.difference(before, box.snapshot()) == []
    box.sh("systemctl stop closed")
