"""What a container has written is whole after whatever befalls its Sysbox: a crash, another version, a power cut, a start that hangs.

The double loses here what the original loses: owners shifted twice, dead mounts, containers that docker calls "Up". What the double cannot
show is an inner Docker's data, which the original keeps in /var/lib/sysbox while a container runs.
"""

from __future__ import annotations

import pytest

from tests.hosts import engine, host
from tests.system.box import IMAGE, SOCKET, Box, quoted

D = f"docker -H unix://{SOCKET}"
NAME = "agent-one"
RESTART = ("-e", "sysbox_restart_containers=true")
WORK = "echo hello >/root/work && cp /bin/busybox /root/su && chown 1000:1000 /root/su && chmod 4755 /root/su"
HANG = "mkdir -p /var/lib/sysbox-double && echo 1 >/var/lib/sysbox-double/hang-sysbox-fs"


@pytest.fixture(scope="module")
def shared(hosts) -> Box:
    made: Box = hosts("survive", dress="linux", state="converged")
    made.docker("load -q -i /opt/images/user-image.tar").expect(0)
    return made


@pytest.fixture
def box(shared: Box) -> Box:
    """Have one container that has worked."""
    shared.sh(f"{D} rm -f {NAME} 2>/dev/null; true")
    if not shared.ok("systemctl is-active -q sysbox sysbox-mgr sysbox-fs"):
        shared.setup()
    shared.docker(
        f"run -d --restart always --name {NAME} --network none --runtime sysbox-runc {IMAGE} sleep 10000"
    ).expect(0)
    shared.docker(f'exec {NAME} sh -c "{WORK}"').expect(0)
    assert whole(shared)
    return shared


def whole(box: Box) -> bool:
    """Whether the container can be used, and its files have the owners and modes that it gave them."""
    seen = box.docker(f"exec {NAME} stat -c '%u %g %a' /root /root/work /root/su")
    print(seen.text)
    return seen.out.split() == ["0", "0", "755", "0", "0", "644", "1000", "1000", "4755"]


def cut_the_power(box: Box) -> None:
    """End the host as a power cut does, and boot it."""
    engine.docker("kill", "--signal", "KILL", host.container(box.name))
    engine.docker("start", host.container(box.name))
    host.wait_booted(box.name)
    box.sh(f"for i in $(seq 100); do {D} ps -q --filter name={NAME} | grep -q . && exit; sleep 0.2; done; exit 1")


@pytest.mark.parametrize("daemon", ["sysbox-fs", pytest.param("sysbox-mgr", marks=pytest.mark.slow)])
def test_a_crash_costs_no_files(box: Box, daemon: str):
    box.sh(
        f"systemctl kill -s KILL {daemon}; for i in $(seq 50); do systemctl is-active -q sysbox || exit 0; sleep 0.1; done"
    )
    assert "Up" in box.sh(f"{D} ps --filter name={NAME}")
    assert box.docker(f"exec {NAME} true").code != 0
    found = box.health()
    assert found["Sysbox services"]["status"] == "fail"
    assert NAME in found["Sysbox containers"]["found"]
    assert "systemctl restart sysbox" not in str(found)

    done = box.cai("setup")
    print(done.text)
    done.expect(0, NAME, "docker cp", "sysbox_restart_containers=true")
    box.docker(f"cp {NAME}:/root/work /tmp/rescued").expect(0)
    assert box.sh("cat /tmp/rescued") == "hello"
    assert "Up" in box.sh(f"{D} ps --filter name={NAME}")  # nothing was ended unasked

    done = box.setup(*RESTART)
    print(done.text)
    assert NAME in done.text
    box.docker(f"restart -t 0 {NAME}").expect(0)
    assert whole(box)
    found = box.health()
    assert "fail" not in {part["status"] for part in found.values()}
    assert NAME not in str(found)


def test_another_version_costs_no_container(box: Box, packages):
    path, sha256 = packages["0.7.0"]
    older = quoted(sysbox_version="0.7.0", sysbox_deb=path, sysbox_sha256={"amd64": sha256}, sysbox_downgrade=True)
    box.cai("setup", *older).expect(3, NAME, "sysbox_restart_containers=true")
    assert whole(box)
    done = box.setup(*older, *RESTART)
    print(done.text)
    assert NAME in done.text
    assert whole(box)
    box.setup(*RESTART)
    assert box.sh("dpkg-query -W -f '${Version}' sysbox-ce") == "0.7.1.linux"
    assert whole(box)


@pytest.mark.slow
def test_an_uninstall_costs_no_files(box: Box):
    box.cai("uninstall", "--yes").expect(0)
    box.setup()
    box.sh(f"{D} start {NAME}")
    assert whole(box)


def test_a_power_cut_costs_no_files(box: Box):
    cut_the_power(box)
    assert whole(box)
    cut_the_power(box)
    assert whole(box)
    assert "fail" not in {part["status"] for part in box.health().values()}


@pytest.mark.slow
def test_a_start_that_hangs_at_boot_is_tried_once_more(box: Box):
    box.sh(HANG)
    host.reboot(box.name)
    assert box.ok("systemctl is-active -q sysbox sysbox-mgr sysbox-fs")
    box.sh(f"for i in $(seq 100); do {D} ps -q --filter name={NAME} | grep -q . && exit; sleep 0.2; done; exit 1")
    assert whole(box)
    assert "fail" not in {part["status"] for part in box.health().values()}


def test_a_file_system_that_sysbox_refuses_changes_nothing(shared: Box):
    shared.sh("mount -t tmpfs tmpfs /var/lib/sysbox")
    try:
        shared.cai("setup").expect(3, "/var/lib/sysbox is on tmpfs", "Hint:")
        shared.cai("setup", "--dry-run").expect(3, "/var/lib/sysbox is on tmpfs")
    finally:
        shared.sh("umount /var/lib/sysbox")
