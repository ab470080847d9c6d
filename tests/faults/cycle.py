"""One fault, and what has to be true after it: the next run succeeds, and every invariant holds."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ground import UNINSTALL, Ground, changing
from tests.hosts.shell import HostError

SHAMES = ("Traceback", "non-zero return code", "MODULE FAILURE")


@dataclass
class Outcome:
    """What the run under fire came to."""

    code: int
    message: str
    # Tasks that it had finished and that had changed the host: not due again.
    done: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)


@dataclass
class Row:
    """A fault: in a setup, or in an uninstall of what is set up."""

    fault: str
    inject: Callable[[Ground], Outcome]
    kind: str = "setup"
    # What ends the fault (room again, the server well again); after it the next run has to succeed.
    mend: Callable[[Ground], None] = lambda ground: None
    short: bool = False


@dataclass
class Result:
    """A line of the table."""

    fault: str
    code: int | str = "-"
    message: str = ""
    next_code: int | str = "-"
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the row is as every row must be."""
        return self.next_code == 0 and not self.violations

    def line(self) -> str:
        """The line."""
        message = re.sub(r"\s+", " ", self.message)[:96]
        return f"{self.fault:<64.64} {self.code!s:>4}  {self.next_code!s:>4} {self.seconds:5.0f} s  {len(self.violations)}  {message}"


HEAD = f"{'fault':<64} exit  next run    violations, message"


def first_line(text: str) -> str:
    """What a failed run said first."""
    found = [
        line.strip()
        for line in text.splitlines()
        if line.startswith("Error: ") or "fatal: [" in line or "[ERROR]" in line
    ]
    return found[-1] if found else ""


def told(done: Any) -> Outcome:
    """The outcome of a run with --json."""
    problems = [f"says {shame}: {done.text[-300:]}" for shame in SHAMES if shame in done.text]
    try:
        document = done.document
    except ValueError:
        return Outcome(done.code, done.text[-200:], problems=[*problems, f"no document: {done.text[-300:]}"])
    errors = document["errors"]
    if document["exit_code"] == 70:
        problems.append(f"calls itself a mistake: {errors}")
    if errors and not errors[0]["hint"]:
        problems.append(f"no hint: {errors}")
    done_tasks = tuple(task.name for task in changing(document)) if "steps" in document else ()
    return Outcome(done.code, errors[0]["message"] if errors else "", done_tasks, problems)


def attempt(ground: Ground, row: Row) -> Result:
    """Inject the fault, and go the way back to the start state."""
    result = Result(row.fault)
    try:
        if row.kind == "setup":
            _during_setup(ground, row, result)
        else:
            _during_uninstall(ground, row, result)
    except (AssertionError, HostError, OSError, ValueError, KeyError) as error:
        result.violations.append(f"{type(error).__name__}: {str(error)[-600:]}")
        with contextlib.suppress(AssertionError, HostError, OSError, ValueError):
            row.mend(ground)
            ground.recover()
    return result


def _note(result: Result, outcome: Outcome) -> None:
    result.code, result.message = outcome.code, outcome.message
    result.violations += outcome.problems


def _during_setup(ground: Ground, row: Row, result: Result) -> None:
    outcome = row.inject(ground)
    _note(result, outcome)
    result.violations += ground.after_fault()
    row.mend(ground)
    following = ground.setup()
    result.next_code, result.seconds = following.code, following.seconds
    if following.code != 0:
        result.violations.append(f"the next run fails: {told(following).message}")
        ground.recover()
        return
    again = {task.name for task in changing(following.document)} & set(outcome.done)
    result.violations += [f"done again by the next run: {name}" for name in sorted(again)]
    result.violations += ground.after_success()


def _during_uninstall(ground: Ground, row: Row, result: Result) -> None:
    _note(result, row.inject(ground))
    result.violations += ground.after_fault()
    row.mend(ground)
    following = ground.box.cai(*UNINSTALL, "--json")
    result.next_code, result.seconds = following.code, following.seconds
    if following.code != 0:
        result.violations.append(f"the next uninstall fails: {told(following).message}")
        ground.recover()
        return
    result.violations += ground.after_uninstall()


def return_to_start(ground: Ground) -> list[str]:
    """An uninstall that nothing disturbs; returns what it left."""
    gone = ground.box.cai(*UNINSTALL, "--json")
    if gone.code != 0:
        ground.recover()
        return [f"uninstall fails: {told(gone).message}"]
    return ground.after_uninstall()
