"""The fault matrix. usage: [FULL=1 | TELLING=1] [HOSTS=n] [MINUTES=n] python -m tests.faults [WORD...]

Without FULL=1 a short set; words choose the rows whose name has one of them. After MINUTES no further row is begun, and those left are counted; so the
order is a shuffled one, always the same.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import threading
import time

from tests.faults import crashes, kills, others, packages, surroundings, upgrades
from tests.faults.cycle import HEAD, Result, Row, attempt, return_to_start
from tests.faults.ground import Ground
from tests.hosts import engine, host
from tests.hosts.shell import say

SHOWN = 8
# One of each class, at the step where it can do most harm: what CI runs.
TELLING = (
    "setup: module killed during “Install Sysbox”",
    "setup: the server answers: cut",
    "setup: 0 KiB left in /var/lib/containai",
    "uninstall: reboot killed during",
    "uninstall: a dpkg was killed as it had removed Sysbox",
)


def chosen(ground: Ground, words: list[str]) -> tuple[list[Row], list[Row]]:
    """The rows to run: those of a setup, those of an uninstall."""
    full = bool(os.environ.get("FULL"))
    setups = (
        *kills.rows(ground, "setup"),
        *surroundings.rows(ground),
        *packages.rows(),
        *others.rows(),
        *upgrades.rows(),
        *crashes.rows(),
    )
    every = [*setups, *kills.rows(ground, "uninstall"), *kills.abandoned(ground)]
    if os.environ.get("TELLING"):
        wanted = [
            max((row for row in every if row.fault.startswith(name)), key=lambda row: row.short) for name in TELLING
        ]
    else:
        wanted = [row for row in every if (any(word in row.fault for word in words) if words else full or row.short)]
    random.Random(1).shuffle(wanted)
    return [row for row in wanted if row.kind == "setup"], [row for row in wanted if row.kind == "uninstall"]


class Session:
    """All rows, on one host or on several."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.printing = threading.Lock()
        self.asked = self.failed = 0
        self.end = time.monotonic() + 60 * float(os.environ.get("MINUTES", "1000"))

    def report(self, result: Result) -> None:
        """Print a row as it ends."""
        with self.printing:
            self.results.append(result)
            print(result.line(), flush=True)
            for violation in result.violations[:SHOWN]:
                print(f"    violation: {violation}", flush=True)
            if len(result.violations) > SHOWN:
                print(f"    ... and {len(result.violations) - SHOWN} more", flush=True)

    def work(self, ground: Ground, setups: queue.SimpleQueue[Row], uninstalls: queue.SimpleQueue[Row]) -> None:
        """Take rows until there are none; an uninstall's fault on the way back from a setup's."""
        while time.monotonic() < self.end:
            setup, uninstall = _next(setups), _next(uninstalls)
            if setup is None and uninstall is None:
                break
            if setup is not None:
                self.report(attempt(ground, setup))
            elif (made := ground.setup()).code != 0:
                self.report(Result("setup, for the next row", made.code, made.text[-200:], violations=["it fails"]))
            if uninstall is not None:
                self.report(attempt(ground, uninstall))
            elif setup is not None and (left := return_to_start(ground)):
                self.report(Result(f"uninstall after: {setup.fault}", 0, violations=left))
        ground.neighbour.pause()
        with self.printing:
            self.asked, self.failed = self.asked + ground.neighbour.asked, self.failed + ground.neighbour.failed


def _next(rows: queue.SimpleQueue[Row]) -> Row | None:
    try:
        return rows.get_nowait()
    except queue.Empty:
        return None


def main() -> int:
    """Run the matrix; 1 when a row is not as it must be."""
    start = time.monotonic()
    engine.up()
    names = [f"faults-{number + 1}" for number in range(int(os.environ.get("HOSTS", "1")))]
    session = Session()
    try:
        grounds = [Ground(name) for name in names]
        for ground in grounds:
            ground.build()
        say(
            f"prepared in {time.monotonic() - start:.0f} s; steps that change the host: {', '.join(task.name for task in grounds[0].setup_tasks)}"
        )
        setups: queue.SimpleQueue[Row] = queue.SimpleQueue()
        uninstalls: queue.SimpleQueue[Row] = queue.SimpleQueue()
        for line, rows in zip((setups, uninstalls), chosen(grounds[0], sys.argv[1:]), strict=True):
            for row in rows:
                line.put(row)
        print(HEAD, flush=True)
        workers = [threading.Thread(target=session.work, args=(ground, setups, uninstalls)) for ground in grounds]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        if not os.environ.get("KEEP"):
            for name in names:
                host.down(f"sys-{name}")
    left = setups.qsize() + uninstalls.qsize()
    if left:
        print(f"{left} rows not run: MINUTES={os.environ['MINUTES']} were up")
    return _sum_up(session, time.monotonic() - start)


def _sum_up(session: Session, seconds: float) -> int:
    bad = [result for result in session.results if not result.good]
    violations = sum(len(result.violations) for result in session.results)
    print(
        f"{len(session.results)} faults injected, {len(bad)} rows not as they must be, {violations} violations, in {seconds:.0f} s"
    )
    print(f"the other engine's port: {session.failed} of {session.asked} questions unanswered")
    return 1 if bad or session.failed or not session.results else 0


if __name__ == "__main__":
    raise SystemExit(main())
