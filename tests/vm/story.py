"""The story of one VM: refused, interrupted, set up, used, restarted by hand, broken in several ways, repaired, and removed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.shell import say

from . import desktop, refusals
from .scenario import NAME, Scenario, check


@contextmanager
def step(title: str) -> Iterator[None]:
    """A headline in the log, and how long it took."""
    start = time.monotonic()
    say(f"\n=== {title}")
    yield
    say(f"=== done in {time.monotonic() - start:.0f} s")


def tell(scene: Scenario, server: refusals.Mirror, image: Path) -> None:
    """The whole story, in order; Docker Desktop's files are the same at its end."""
    home = scene.user.home
    before = desktop.state(home / ".docker")
    with step("the dry run on a machine without a VM tells everything and makes nothing"):
        _dry_run(scene)
    with step(
        "a full disk, too long a path, a missing and a wrong image: each is explained, and makes nothing that is in the way"
    ):
        refusals.before_the_first_boot(scene, server, image)
    with step("a first boot that exceeds its time limit is ended"):
        refusals.a_start_that_takes_too_long(scene)
    with step("the next run finds it stopped and sets it up; the socket works on the first boot"):
        check(scene.cai("setup")["changed"] > 0, "something changed")
        scene.use()
    with step("the second run changes nothing"):
        _unchanged(scene)
    with step(
        "egress: a container reaches this machine's loopback, and under no-private it does not, also after a restart of the VM"
    ):
        _kept_in(scene, server)
    with step("a VM stopped by hand: the health report says so, and what it says to type mends it, without cai"):
        _stopped_and_started(scene)
        check(not scene.reaches_this_machine(server.server_port), "containers are kept in from the boot on")
    with step("drift: a killed host agent and edited cpus, both repaired by the next run"):
        _edit(scene.folder / "lima.yaml", "cpus: 1", "cpus: 2")
        os.kill(int((scene.folder / "ha.pid").read_text()), signal.SIGKILL)
        check(scene.cai("setup")["changed"] > 0, "the run repaired something")  # it ends with a Sysbox container
        check("sysbox-runc" in scene.docker("info"), "the engine answers")
        check("cpus: 1" in (scene.folder / "lima.yaml").read_text(), "the edit is undone")
    with step("drift: a removed socket, led to the VM anew: neither the VM nor what runs in it is touched"):
        agent = (scene.folder / "ha.pid").read_text()
        scene.socket.unlink()
        check(scene.ansible("macos", "--limit", "localhost") > 0, "the run repaired something")
        check((scene.folder / "ha.pid").read_text() == agent, "the VM was not restarted")
        scene.use()
    with step("uninstall stops the VM and keeps it; purge deletes it"):
        _uninstalled(scene)
    check(
        desktop.state(home / ".docker", leave_out=desktop.digest(NAME)) == before,
        "Docker Desktop's files are as they were",
    )


def _dry_run(scene: Scenario) -> None:
    before = desktop.state(scene.user.home, leave_out="document.json")
    plan = scene.cai("setup", "--dry-run")
    told = [f"{action['verb']} {action['what']}" for action in plan["actions"]]
    for wanted in ("create Lima VM", "start Lima VM", "Sysbox", "docker.service in the VM", "create docker context"):
        check(any(wanted in line for line in told), f"the plan holds {wanted!r}")
    check(any("minimumLimaVersion" in diff["after"] for diff in plan["diffs"]), "the plan shows lima.yaml")
    check(desktop.state(scene.user.home, leave_out="document.json") == before, "the dry run made nothing")


def _unchanged(scene: Scenario) -> None:
    agent, written = (scene.folder / "ha.pid").read_text(), (scene.folder / "lima.yaml").stat().st_mtime_ns
    check(scene.ansible("macos") == 0, "changed=0")
    check((scene.folder / "ha.pid").read_text() == agent, "the VM was not restarted")
    check((scene.folder / "lima.yaml").stat().st_mtime_ns == written, "lima.yaml was not written")


def _kept_in(scene: Scenario, server: refusals.Mirror) -> None:
    check(scene.reaches_this_machine(server.server_port), "a container reaches this machine's loopback by default")
    scene.choose(docker_engine_egress="no-private")
    check(scene.cai("setup")["changed"] > 0, "the setting was applied")
    check(not scene.reaches_this_machine(server.server_port), "a container does not reach this machine's loopback")
    (finding,) = (finding for finding in scene.cai("doctor")["findings"] if finding["part"] == "egress")
    check(finding["status"] == "pass" and finding["found"].startswith("no-private: "), "doctor says what is in force")


def _sick(report: dict[str, Any]) -> list[str]:
    return [finding["part"] for finding in report["findings"] if finding["status"] == "fail"]


def _stopped_and_started(scene: Scenario) -> None:
    scene.type(f"limactl stop {NAME}")
    report = scene.cai("doctor", expect=1)
    check(_sick(report) == ["VM"], "the VM alone is reported")
    hint = next(finding["hint"] for finding in report["findings"] if finding["part"] == "VM")
    scene.type(hint.partition("`")[2].partition("`")[0])
    check(scene.ansible("macos", "--tags", "sysbox_verify", reaching=NAME) == 0, "verified by itself in the VM")
    check(scene.ansible("macos", "--tags", "lima_vm_verify") == 0, "verified by itself from outside")
    scene.use()
    check(_sick(scene.cai("doctor")) == [], "the running VM is healthy")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    check(old in text, f"{path} holds {old!r}")
    path.write_text(text.replace(old, new))


def _uninstalled(scene: Scenario) -> None:
    plan = scene.cai("uninstall", "--dry-run")["actions"]
    check(scene.cai("uninstall", "--yes")["actions"] == plan, "what was planned is done")
    check(scene.status() == "Stopped", "the VM is kept")
    check(NAME not in scene.type("docker context ls"), "the context is gone")
    scene.cai("uninstall", "--yes", "--purge")
    check(not scene.folder.exists(), "the VM is gone")
    check(scene.cai("uninstall", "--dry-run", "--purge")["actions"] == [], "nothing is left to remove")
