"""How long commands take, as multiples of an empty play on the same host in the same run: machines differ, ratios hold.

    make bench

Nothing is asserted about time. Every round runs each command once, so that a slow minute of the machine meets all of them.
The numbers are printed and written to .cache/bench.json; docs/performance.md shows those of one run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable

import pytest

from tests.hosts import paths
from tests.system.box import VENV, Box

ROUNDS = 5
EMPTY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: nothing}}]
"""
PLAY, CLICK = "an empty play", "python -c 'import click'"
# (command line as the user, what it is compared with, the ratio to reach)
COMMANDS: dict[str, tuple[tuple[str, ...], str, float | None]] = {
    PLAY: ((f"{VENV}/bin/ansible-playbook", "/opt/empty.yml"), PLAY, None),
    CLICK: ((f"{VENV}/bin/python", "-c", "import click"), CLICK, None),
    "cai --help": ((f"{VENV}/bin/cai", "--help"), CLICK, 1.4),
    "cai setup, nothing to do": ((f"{VENV}/bin/cai", "setup"), PLAY, 7),
    "cai setup --dry-run, nothing to do": ((f"{VENV}/bin/cai", "setup", "--dry-run"), PLAY, 5),
    "cai doctor": ((f"{VENV}/bin/cai", "doctor"), PLAY, 4),
    "cai uninstall --dry-run": ((f"{VENV}/bin/cai", "uninstall", "--dry-run"), PLAY, None),
}


@pytest.fixture(scope="module")
def box(hosts: Callable[..., Box]) -> Box:
    made = hosts("bench", dress="linux", state="converged")
    made.write("/opt/empty.yml", EMPTY)
    return made


def test_ratios(box: Box, measured: Callable[[str], None]) -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, (line, _, _) in COMMANDS.items():
            done = box.user(*line)
            assert done.code == 0, done.text
            if number:  # the first round warms the caches
                taken[name].append(done.seconds)
    middle = {name: statistics.median(found) for name, found in taken.items()}
    table = {
        name: {
            "seconds": round(middle[name], 2),
            "lowest": round(min(taken[name]), 2),
            "highest": round(max(taken[name]), 2),
            "over": over,
            "ratio": round(middle[name] / middle[over], 1),
            "target": target,
        }
        for name, (_, over, target) in COMMANDS.items()
    }
    (paths.CACHE / "bench.json").write_text(json.dumps(table, indent=2) + "\n")
    measured(f"{'command':36} median  lowest to highest  ratio  target  over")
    for name, row in table.items():
        spread = f"{row['lowest']:.2f} to {row['highest']:.2f} s"
        measured(
            f"{name:36} {row['seconds']:5.2f} s  {spread:17}  {row['ratio']:5.1f}  {row['target'] or '-':>6}  {row['over']}"
        )
