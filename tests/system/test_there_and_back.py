"""setup and uninstall on every kind of host: afterwards it is what it was before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.hosts.doubles import desktop
from tests.system import snapshot
from tests.system.box import Box, Done
from tests.system.plans import as_planned


@dataclass
class Kind:
    """A host, what is on it before, and what to type."""

    suite: str
    dress: str
    pid1: str = "none"
    setup: str = ""
    force: tuple[str, ...] = ()
    desktop: bool = False


KINDS = {
    "noble-desktop-other-docker": Kind("noble", "linux", setup="ubuntu-desktop+other-docker"),
    "noble-desktop": Kind("noble", "linux"),
    "noble-wsl2-plain": Kind("noble", "wsl2", "plain"),
    "noble-wsl2-listener": Kind("noble", "wsl2", "listener", force=("--force",)),
    "noble-wsl2-dns-tunnel": Kind("noble", "wsl2", setup="dns-tunnel"),
    "noble-wsl2-docker-desktop": Kind("noble", "wsl2", desktop=True),
    "resolute-wsl2": Kind("resolute", "wsl2"),
    "trixie-linux": Kind("trixie", "linux"),
    "trixie-linux-firewalld": Kind("trixie", "linux", setup="firewalld"),
    "bookworm-linux-other-docker": Kind("bookworm", "linux", setup="other-docker"),
    "bookworm-wsl2": Kind("bookworm", "wsl2"),
}
USUAL = ("noble-desktop-other-docker", "noble-wsl2-docker-desktop")
ANSWERS = "curl -sS --max-time 5 http://127.0.0.1:9000/"


def neighbour(box: Box) -> str:
    """Which container of the Docker that was there runs since when, with which ports."""
    shown = "{{.Id}} {{.State.Running}} {{.State.StartedAt}} {{.NetworkSettings.Ports}}"
    return box.sh(f"docker -H unix:///var/run/docker.sock inspect -f '{shown}' web", check=False)


def run(box: Box, command: str, *arguments: str) -> Done:
    """Run a command without a look at its plan."""
    return box.cai(command, *(["--yes"] if command == "uninstall" else []), *arguments).expect(0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in KINDS]
)
def test_the_host_is_what_it_was(hosts, name: str, measured) -> None:
    kind = KINDS[name]
    box: Box = hosts(f"back-{list(KINDS).index(name)}", kind.suite, kind.pid1, kind.dress, kind.setup)
    if kind.desktop:
        desktop.install(box.name)
    before, theirs = box.snapshot(), neighbour(box)
    # One kind shows that a dry run's plan is what is done.
    setup, uninstall = (as_planned, as_planned) if kind.desktop else (run, run)
    done = setup(box, "setup", *kind.force)
    assert "The secure engine is ready" in done.out
    removed = uninstall(box, "uninstall", "--purge").expect(0, "Removed")
    difference = snapshot.difference(before, box.snapshot())
    print(f"{len(before)} paths before; after setup and uninstall:", *(difference or ["no difference"]), sep="\n  ")
    measured(
        f"{name}: setup {done.seconds:.0f} s, uninstall {removed.seconds:.0f} s, {len(difference)} differences in {len(before)} paths"
    )
    assert difference == []
    assert neighbour(box) == theirs
    if "other-docker" in kind.setup:
        assert " true " in theirs
        assert "served from a container" in box.sh(ANSWERS)
    box.sh("apt-get -qq check")
    hosts.drop(box.name)
