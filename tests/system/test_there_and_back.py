"""setup, uninstall, setup and uninstall again, on every kind of host: afterwards it is what it was before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.hosts.doubles import desktop
from tests.system import snapshot
from tests.system.box import Box

NEIGHBOUR = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends docker.io >/dev/null
printf '{"log-driver":   "json-file"}' > /etc/docker/daemon.json
systemctl restart docker
docker load -q -i /opt/images/user-image.tar
docker run -d --name neighbour -p 8080:80 cai-test-image:1 httpd -f -h /www"""
ANSWERS = "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8080/', timeout=5)\""


@dataclass
class Kind:
    """A host, what is on it before, and what to type."""

    suite: str
    dress: str
    pid1: str = "none"
    before: str = ""
    force: tuple[str, ...] = ()


KINDS = {
    "bookworm-wsl2-plain": Kind("bookworm", "wsl2", "plain"),
    "bookworm-wsl2-listener": Kind("bookworm", "wsl2", "listener", force=("--force",)),
    "noble-wsl2": Kind("noble", "wsl2"),
    "trixie-linux": Kind("trixie", "linux"),
    "bookworm-linux-own-docker": Kind("bookworm", "linux", before="neighbour"),
    "bookworm-wsl2-docker-desktop": Kind("bookworm", "wsl2", before="desktop"),
}


@pytest.fixture(params=KINDS)
def host(request: pytest.FixtureRequest, hosts) -> tuple[Box, Kind]:
    kind = KINDS[request.param]
    box: Box = hosts(f"back-{list(KINDS).index(request.param)}", kind.suite, kind.pid1, kind.dress)
    box.sh("echo 0 > /proc/sys/net/ipv4/ip_forward")
    if kind.before == "neighbour":
        box.sh(NEIGHBOUR)
    elif kind.before == "desktop":
        desktop.install(box.name)
    return box, kind


def neighbour(box: Box) -> str:
    """Which container of the Docker that was there runs since when, with which ports."""
    shown = "{{.Id}} {{.State.Running}} {{.State.StartedAt}} {{.NetworkSettings.Ports}}"
    return box.sh(f"docker -H unix:///var/run/docker.sock inspect -f '{shown}' neighbour", check=False)


@pytest.mark.slow
def test_the_host_is_what_it_was(host: tuple[Box, Kind], measured) -> None:
    box, kind = host
    before, theirs = box.snapshot(), neighbour(box)
    for number in (1, 2):
        done = box.setup(*kind.force)
        assert "The secure engine is ready" in done.out
        removed = box.cai("uninstall", "--yes", "--purge").expect(0, "Removed")
        difference = snapshot.difference(before, box.snapshot())
        print(
            f"time {number}: {len(before)} paths before; after setup and uninstall:",
            *(difference or ["no difference"]),
            sep="\n  ",
        )
        measured(
            f"{box.name} ({kind.suite} {kind.dress} {kind.pid1} {kind.before}): setup {done.seconds:.0f} s, uninstall {removed.seconds:.0f} s, {len(difference)} differences in {len(before)} paths"
        )
        assert difference == []
        assert neighbour(box) == theirs
        if kind.before == "neighbour":
            assert " true " in theirs
            box.sh(ANSWERS)
    box.sh("apt-get -qq check")
