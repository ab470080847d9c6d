"""An older Sysbox is replaced: by a run that nothing disturbs, and by runs that are killed in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.faults import kills
from tests.faults.cycle import Outcome, Row, told
from tests.faults.ground import Ground
from tests.system import stage
from tests.system.box import quoted

STEP = "Install Sysbox"


def older(ground: Ground) -> None:
    """Set up with an older Sysbox."""
    path, sha256 = stage.packages()["0.7.0"]
    ground.setup(*quoted(sysbox_version="0.7.0", sysbox_deb=path, sysbox_sha256={"amd64": sha256})).expect(0)


def again(ground: Ground) -> None:
    """Begin anew: an older one does not replace a newer."""
    kills.back("setup", ground)
    older(ground)


def undisturbed(ground: Ground) -> Outcome:
    """Replace it."""
    older(ground)
    outcome = told(ground.setup())
    if outcome.code != 0 or STEP not in outcome.done:
        outcome.problems.append(f"not replaced, exit {outcome.code}")
    return outcome


def killed(victim: str, ground: Ground) -> Outcome:
    """Begin to replace it."""
    older(ground)
    (task,) = (task for task in ground.setup_tasks if task.name == STEP)
    return kills.kill("setup", task, victim, "during", ground, again)


def rows() -> Iterator[Row]:
    """Every fault of an upgrade."""
    yield Row("setup: an older Sysbox is replaced", undisturbed, short=True)
    for victim in kills.VICTIMS:
        yield Row(
            f"setup: {victim} killed during an upgrade of Sysbox",
            partial(killed, victim),
            mend=partial(kills.heal, victim),
        )
