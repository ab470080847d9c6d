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


@pytest.mark.parametrize("dress", ["wsl1", "nosystemd", pytest.param("container", marks=pytest.mark.slow)])
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
    box.sh("apt-get -qq install -y --no-install-recommends bindfs fuse3 >/dev/null")
    box.sh("chmod 666 /dev/fuse; su dev -c 'mkdir -p ~/.docker ~/plain'")  # the mode is udev's work
    before = box.snapshot()
    # It lives in a service of its own, as it would in the user's session.
    box.sh("systemd-run --quiet --unit=closed --uid=dev bindfs -f --no-allow-other /home/dev/plain /home/dev/.docker")
    box.sh("for i in $(seq 100); do grep -q /home/dev/.docker /proc/self/mountinfo && exit 0; sleep 0.1; done; exit 1")
    assert not box.ok("ls /home/dev/.docker"), "root may enter it"
    box.cai("setup").expect(3, "Root cannot read /home/dev/.docker", "Nothing was changed", "DOCKER_CONFIG")
    box.sh("systemctl stop closed")
    assert snapshot.difference(before, box.snapshot()) == []


# A value that this host cannot use -> what the message says of it.
UNUSABLE = {
    "docker_engine_data_root=/opt/over/docker": "overlay",
    "docker_engine_data_root=/opt/fused/docker": "fuse",
    "docker_engine_socket=/nowhere/docker.sock": "/nowhere",
    f"docker_engine_socket=/run/{'long' * 30}.sock": "107",
}


@pytest.mark.slow
def test_a_place_that_cannot_hold_data_or_a_socket_is_refused_before_anything_is_done(hosts) -> None:
    box: Box = hosts("no-place", dress="linux")
    box.sh("apt-get -qq install -y --no-install-recommends bindfs >/dev/null")
    box.sh("mkdir -p /opt/over /opt/fused /opt/plain /run/parts/lower /run/parts/upper /run/parts/work")
    box.sh(
        "mount -t overlay over -o lowerdir=/run/parts/lower,upperdir=/run/parts/upper,workdir=/run/parts/work /opt/over"
    )
    box.sh("bindfs /opt/plain /opt/fused")
    before = box.snapshot()
    for value, word in UNUSABLE.items():
        print(box.cai("setup", "-e", value).expect(3, word, "cai setup").text)
    assert snapshot.difference(before, box.snapshot()) == []
