"""Others' things in the way of a run: a package that apt would remove, one that needs a package of setup, the secure engine when it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.faults.cycle import Outcome, Row
from tests.faults.ground import Ground
from tests.faults.surroundings import WELL, judged, run
from tests.system.box import quoted

# A package of somebody's with one field more.
BUILD = """mkdir -p /opt/theirs/DEBIAN && cd /opt
printf 'Package: theirs\\nVersion: 1\\nArchitecture: all\\nMaintainer: them <them@localhost>\\nDescription: theirs\\n{}\\n' >theirs/DEBIAN/control
dpkg-deb --build theirs >/dev/null && dpkg --install theirs.deb >/dev/null && rm -r theirs theirs.deb"""
DOCKERD = "systemctl show -p MainPID --value containai-docker"


def theirs(ground: Ground) -> bool:
    """Whether their package is installed."""
    return ground.box.ok("dpkg-query -W -f '${db:Status-Abbrev}' theirs 2>/dev/null | grep -q ^ii")


def in_conflict(ground: Ground, *, allowed: bool) -> Outcome:
    """apt would remove their package to install one that setup needs."""
    ground.box.sh(BUILD.format("Conflicts: jq"))
    if allowed:
        outcome = judged(ground.setup(*quoted(docker_engine_allow_removal=["theirs"])), WELL)
    else:
        outcome = judged(ground.setup(), (3,), ("theirs", "docker_engine_allow_removal"))
    if theirs(ground) == allowed:
        outcome.problems.append(f"their package is {'still there' if allowed else 'gone'}")
    return outcome


def needed_by_now(ground: Ground) -> Outcome:
    """A package of theirs depends on one that setup brought: both stay."""
    ground.box.sh(BUILD.format("Depends: jq"))
    outcome = judged(run(ground, "uninstall"), WELL)
    if not (theirs(ground) and ground.box.ok("jq --version")):
        outcome.problems.append("their package, or what it needs, is gone")
    return outcome


def gone(ground: Ground) -> None:
    """Their package goes, with what only it needed."""
    ground.box.sh("dpkg --purge theirs; apt-get -qq purge -y jq libjq1 libonig5 >/dev/null", check=False)


def conflict_gone(ground: Ground) -> None:
    """Their package goes."""
    ground.box.sh("dpkg --purge theirs", check=False)


def slow(kind: str, ground: Ground) -> Outcome:
    """The engine does not answer: it is neither restarted nor taken for empty."""
    if kind == "setup":
        ground.setup().expect(0)
    pid = ground.box.sh(DOCKERD)
    ground.box.sh(f"kill -STOP {pid}")
    outcome = judged(run(ground, kind), (1,), ("does not answer within",))
    if ground.box.sh(DOCKERD) != pid:
        outcome.problems.append("the engine was restarted")
    return outcome


def answers(ground: Ground) -> None:
    """The engine goes on."""
    ground.box.sh(f"kill -CONT $({DOCKERD})", check=False)


def rows() -> Iterator[Row]:
    """Every such case."""
    yield Row(
        "setup: apt would remove a package of theirs",
        partial(in_conflict, allowed=False),
        mend=conflict_gone,
        short=True,
    )
    yield Row("setup: apt may remove a package of theirs", partial(in_conflict, allowed=True), mend=conflict_gone)
    yield Row("uninstall: a package of theirs needs ours by now", needed_by_now, "uninstall", gone, short=True)
    yield Row("setup: the engine does not answer", partial(slow, "setup"), mend=answers)
    yield Row("uninstall: the engine does not answer", partial(slow, "uninstall"), "uninstall", answers, short=True)
