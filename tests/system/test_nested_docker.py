"""What Sysbox is for: a container that runs a Docker of its own without --privileged, and sees a /proc of its own. Under runc it cannot.

The double of the package makes a real user namespace, but has no sysbox-fs that traps and emulates: with it the proof is skipped, and the
session says so. SYSBOX_DEB=/path/to/sysbox-ce.deb runs all of it.
"""

from __future__ import annotations

import os

import pytest

from tests.system.box import Box

pytestmark = [] if os.environ.get("SYSBOX_DEB") else [pytest.mark.slow]  # with the original, all of it, always
IMAGE = "nested-host"
ORIGINAL = bool(os.environ.get("SYSBOX_DEB"))
# The host's own file system, which has Docker in it by now: no registry is asked.
MAKE = f"""tar -C / --one-file-system --exclude=./proc --exclude=./sys --exclude=./dev --exclude=./run --exclude=./tmp --exclude='./var/lib/docker*' \
  --exclude=./var/lib/containerd --exclude=./var/cache --exclude=./opt --exclude=./home --exclude=./usr/share/doc --exclude=./var/lib/apt -cf - . \
  | docker -H unix:///var/run/docker-containai.sock import - {IMAGE}"""
INSIDE = r"""
mkdir -p /proc /sys /dev /run /tmp /var/lib/docker
rm -f /etc/docker/daemon.json
dockerd >/run/log 2>&1 &
for i in $(seq 300); do docker info >/dev/null 2>&1 && break; kill -0 $! 2>/dev/null || break; sleep 0.1; done
docker load -q -i /images/user-image.tar
said=$(docker run --rm --network none cai-test-image:1 echo the inner container ran)
echo "$said"
[ "$said" = "the inner container ran" ] && exit 0
tail -5 /run/log
exit 9
"""


@pytest.fixture(scope="module")
def box(hosts) -> Box:
    made: Box = hosts("nested", state="converged")
    made.write("/opt/inside.sh", INSIDE)
    made.sh(MAKE)
    return made


def inside(box: Box, *options: str):
    """Start a Docker in a container of ours, and a container in that."""
    mounts = "-v /opt/inside.sh:/inside.sh:ro -v /opt/images:/images:ro -v /var/lib/docker"
    return box.docker(f"run --rm {' '.join(options)} {mounts} {IMAGE} sh /inside.sh")


def test_under_runc_docker_does_not_run_in_docker(box):
    """The negative control."""
    done = inside(box)
    assert done.code == 9, done.text
    assert "the inner container ran" not in done.text


needs_sysbox = pytest.mark.skipif(
    not ORIGINAL, reason="the double of Sysbox cannot; SYSBOX_DEB=/path/to/sysbox-ce.deb runs it"
)


@needs_sysbox
def test_under_sysbox_docker_runs_in_docker_without_privileges(box):
    inside(box, "--runtime=sysbox-runc").expect(0, "the inner container ran")


@needs_sysbox
def test_under_sysbox_proc_and_sys_are_the_containers_own(box):
    look = "run --rm --network none --runtime=sysbox-runc cai-test-image:1 cat /proc/self/mountinfo /proc/uptime"
    text = box.docker(look).expect(0).out
    mounted = {line.split()[4] for line in text.splitlines() if "sysboxfs" in line}
    assert {"/proc/sys", "/proc/uptime"} <= mounted, text
    assert float(text.splitlines()[-1].split()[0]) < 60  # of the container, not of the host
