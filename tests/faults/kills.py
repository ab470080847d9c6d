"""Kill points: derived from the tasks that changed the host, so that a new task is covered by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.cycle import SHAMES, Outcome, Row, first_line
from tests.faults.ground import UNINSTALL, Ground, Task
from tests.system.box import VENV
from tests.system.running import ENDS, Running

VICTIMS = ("cai", "ansible", "module", "connection", "reboot")
MOMENTS = ("before", "during", "after")
PATIENCE = (1.0, 0.4, 0.0)  # shares of the time until the middle of a step
STARTING = 0.3  # seconds that it takes to start whoever kills
SHORT = {  # each class once, at the step where it can do most harm
    ("setup", "module", "during", 1), ("setup", "cai", "before", 2), ("setup", "connection", "during", 2), ("setup", "ansible", "after", 1),
    ("uninstall", "module", "during", -2), ("uninstall", "reboot", "during", -2),
}  # fmt: skip


def rows(ground: Ground, kind: str) -> Iterator[Row]:
    """Every kill point of a setup, or of an uninstall."""
    tasks = ground.setup_tasks if kind == "setup" else ground.uninstall_tasks
    for number, task in enumerate(tasks):
        for victim in VICTIMS:
            for moment in MOMENTS:
                if victim == "module" and moment == "after":
                    continue  # it has ended by itself
                if moment == "before" and number and victim != "module":
                    continue  # the same moment as just after the one before it
                short = bool({(kind, victim, moment, number), (kind, victim, moment, number - len(tasks))} & SHORT)
                yield Row(
                    f"{kind}: {victim} killed {moment} “{task.name}”",
                    partial(kill, kind, task, victim, moment),
                    kind,
                    partial(heal, victim),
                    short,
                )


def abandoned(ground: Ground) -> Iterator[Row]:
    """A setup that is killed and then taken back instead of run again."""
    for task in ground.setup_tasks:
        for victim in ("cai", "ansible", "module", "reboot"):
            yield Row(
                f"uninstall: after a setup whose {victim} was killed during “{task.name}”",
                partial(_abandon, task, victim),
                "uninstall",
                partial(heal, victim),
                (task.name, victim) == ("Install Sysbox", "ansible"),
            )


def _abandon(task: Task, victim: str, ground: Ground) -> Outcome:
    back("setup", ground)
    return kill("setup", task, victim, "during", ground)


def heal(victim: str, ground: Ground) -> None:
    """Let the host be reached again."""
    if victim == "connection":
        ground.box.sh("systemctl start ssh")


def command(ground: Ground, kind: str, victim: str) -> tuple[str, ...]:
    """What runs: the command, or the playbook over ssh."""
    if victim == "connection":
        return (
            ground.fleet("wsl2")
            if kind == "setup"
            else ground.fleet("uninstall-wsl2", "-e cai_purge=true -e cai_yes=true")
        )
    words = ("setup",) if kind == "setup" else UNINSTALL
    return (f"{VENV}/bin/cai", *words, "--verbose")


def kill(
    kind: str, task: Task, victim: str, moment: str, ground: Ground, begin: Callable[[Ground], None] | None = None
) -> Outcome:
    """Run, wait for the moment, kill. A run that got past the moment is repeated with less patience; `begin` leads back to where it began."""
    for patience in PATIENCE:
        outcome, missed = _kill(kind, task, victim, moment, ground, patience)
        if not missed:
            return outcome
        heal(victim, ground)
        (begin or partial(back, kind))(ground)
    outcome.problems.append("the moment was missed")
    return outcome


def back(kind: str, ground: Ground) -> None:
    """Where a setup, or an uninstall, begins."""
    (ground.box.cai(*UNINSTALL) if kind == "setup" else ground.setup()).expect(0)


def _kill(kind: str, task: Task, victim: str, moment: str, ground: Ground, patience: float) -> tuple[Outcome, bool]:
    """What came of it, and whether the run was past the moment already."""
    if victim == "reboot":
        ground.neighbour.pause()  # it goes down on purpose
    running = Running(ground.box, *command(ground, kind, victim))
    wait_for_moment(running, task, moment, patience)
    missed = moment != "after" and running.ended(task.name)
    code = strike(running, victim, ground)
    problems = [f"says {shame}" for shame in SHAMES if shame in running.said]
    if code == 0 and victim != "connection":
        missed = missed or task.name in finished(running)  # it had answered, and was ending by itself
        problems.append("the killed run reports success")
    return Outcome(code, first_line(running.said), finished(running), problems), missed


def wait_for_moment(running: Running, task: Task, moment: str, patience: float) -> None:
    """Let it run up to the moment."""
    running.until(f"{task.name}] ")
    if moment == "during":
        time.sleep(max(0.0, task.seconds / 2 - STARTING) * patience)
    elif moment == "after":
        running.until_ended(task.name)


def strike(running: Running, victim: str, ground: Ground) -> int:
    """Kill; returns the run's exit code."""
    if victim == "reboot":
        ground.reboot()
        running.abandon()
        return 137
    if victim == "connection":
        ground.box.sh("systemctl stop ssh")
        running.kill("sshd")
        return running.end()
    running.kill(victim)
    return running.end()


def finished(running: Running) -> tuple[str, ...]:
    """The tasks that were done and had changed the host when it was killed."""
    found, name = [], ""
    for line in running.lines:
        if line.startswith("TASK ["):
            name = line.removeprefix("TASK [").rpartition("]")[0].rpartition(" : ")[2]
        elif line.startswith("changed: [") and name:
            found.append(name)
        if line.startswith(ENDS):
            name = ""
    return tuple(found)
