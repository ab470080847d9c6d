"""A failed part's own words are repeated at the end of a test session, where a long log is not cut."""

from __future__ import annotations

import pytest

from tests.hosts.session import trouble

BEFORE = [f"ok: [host] step {number}" for number in range(200)]
AFTER = [f"skipping: [host] step {number}" for number in range(200)]


@pytest.mark.parametrize(
    "line",
    [
        "fatal: [wsl2-plain]: FAILED! => {}",
        "FAILED tests/unit/test_session.py::test_it",
        "E   AssertionError: assert 1 == 2",
        "CRITICAL Ansible return code was 2",
        "    violation: half-written: /etc/docker/daemon.json",
    ],
)
def test_the_line_that_tells_and_what_follows_it(line: str) -> None:
    shown = trouble([*BEFORE, line, *AFTER])
    assert shown[:3] == [BEFORE[-1], line, AFTER[0]]
    assert len(shown) < 20


def test_without_such_a_line_the_end() -> None:
    assert trouble([*BEFORE, "Killed"])[-1] == "Killed"


def test_never_longer_than_one_reads() -> None:
    assert len(trouble(["Error: no"] * 1000)) == 80
