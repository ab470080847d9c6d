"""How long commands take, as multiples of an empty play on the same host in the same run: machines differ, ratios hold.

    make bench

Nothing is asserted about time: the numbers are printed, for comparison with those of an earlier version.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from tests.system.box import VENV, Box, Done

RUNS = 5
EMPTY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: nothing}}]
"""


@pytest.fixture(scope="module")
def box(hosts: Callable[..., Box]) -> Box:
    made = hosts("bench", "bookworm")
    made.write("/opt/empty.yml", EMPTY)
    return made


def seconds(command: Callable[[], Done], runs: int = RUNS) -> list[float]:
    command()  # a first one warms the caches
    done = [command() for _ in range(runs)]
    assert {one.code for one in done} == {0}
    return [one.seconds for one in done]


def test_ratios(box: Box, measured: Callable[[str], None]) -> None:
    unit = statistics.median(seconds(lambda: box.user(f"{VENV}/bin/ansible-playbook", "/opt/empty.yml")))
    first = box.setup().seconds
    rows = {
        "cai --help": seconds(lambda: box.cai("--help")),
        "cai setup --dry-run, all there": seconds(lambda: box.cai("setup", "--dry-run")),
        "cai setup, all there": seconds(box.setup),
        "cai doctor": seconds(lambda: box.cai("doctor")),
        "cai uninstall --dry-run": seconds(lambda: box.cai("uninstall", "--dry-run")),
    }
    measured(f"{'an empty play (1.0)':34} {unit:6.2f} s, median of {RUNS}")
    measured(f"{'cai setup, packages in the cache':34} {first:6.2f} s  {first / unit:5.1f}, once")
    for name, found in rows.items():
        middle = statistics.median(found)
        measured(f"{name:34} {middle:6.2f} s  {middle / unit:5.1f}  ({min(found):.2f} to {max(found):.2f} s)")
