"""Sysbox, or the machine, ends under a container that runs: the container can be used afterwards or is named, its files are whole, doctor tells the truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.faults.cycle import Outcome, Row, told
from tests.faults.ground import Ground
from tests.faults.upgrades import older
from tests.hosts import engine, host
from tests.system.box import IMAGE, SOCKET

NAME = "agent-one"
ENGINE = f"docker -H unix://{SOCKET}"
RESTART = ("-e", "sysbox_restart_containers=true")
WORK = "echo hello >/root/work; cp /bin/busybox /root/su; chmod 4755 /root/su"
SETTLED = "for i in $(seq 50); do systemctl is-active -q sysbox || exit 0; sleep 0.1; done; exit 1"


def begin(ground: Ground) -> None:
    """Have a container at work."""
    box = ground.box
    box.sh(f"{ENGINE} load -q -i /opt/images/user-image.tar")
    box.sh(f"{ENGINE} run -d --restart always --name {NAME} --network none --runtime sysbox-runc {IMAGE} sleep 10000")
    box.sh(f"{ENGINE} exec {NAME} sh -c '{WORK}'")


def damage(ground: Ground) -> list[str]:
    """What is not as the container left it, and what doctor says of it."""
    box = ground.box
    wait = f"for i in $(seq 100); do {ENGINE} exec {NAME} true && exit; sleep 0.2; done 2>/dev/null; exit 1"
    if not box.ok(wait):
        return ["the container cannot be used"]
    seen = box.sh(f"{ENGINE} exec {NAME} stat -c '%u %a' /root/work /root/su").split()
    problems = [] if seen == ["0", "644", "0", "4755"] else [f"owners and modes: {seen}"]
    sick = [f"{part}: {one['found']}" for part, one in box.health().items() if one["status"] == "fail"]
    return problems + [f"doctor: {text}" for text in sick]


def crash(daemon: str, ground: Ground) -> Outcome:
    """Kill a daemon; doctor and setup have to name the container, and setup to mend it when it is told to."""
    ground.setup().expect(0)
    begin(ground)
    ground.box.sh(f"systemctl kill -s KILL {daemon}; {SETTLED}")
    named = ground.box.health().get("Sysbox containers", {}).get("found", "")
    warned = " ".join(ground.setup().document["warnings"])
    outcome = told(ground.setup(*RESTART))
    outcome.problems += [
        f"{who} does not name it" for who, text in (("doctor", named), ("setup", warned)) if NAME not in text
    ]
    outcome.problems += damage(ground)
    return outcome


def power_cut(ground: Ground) -> Outcome:
    """End the host at once."""
    ground.setup().expect(0)
    begin(ground)
    ground.neighbour.pause()
    engine.docker("kill", "--signal", "KILL", host.container(ground.box.name))
    engine.docker("start", host.container(ground.box.name))
    host.wait_booted(ground.box.name)
    ground.neighbour.resume()
    return Outcome(0, "", problems=damage(ground))


def upgrade(ground: Ground) -> Outcome:
    """Replace Sysbox under it."""
    older(ground)
    begin(ground)
    refused = ground.setup()
    outcome = told(ground.setup(*RESTART))
    if refused.code != 3:
        outcome.problems.append(f"not refused without being told: exit {refused.code}")
    outcome.problems += damage(ground)
    return outcome


def rows() -> Iterator[Row]:
    """Every end of a Sysbox under a container."""
    for daemon in ("sysbox-fs", "sysbox-mgr"):
        yield Row(f"setup: {daemon} killed under a container", partial(crash, daemon))
    yield Row("setup: the power fails under a container", power_cut)
    yield Row("setup: an older Sysbox is replaced under a container", upgrade)
