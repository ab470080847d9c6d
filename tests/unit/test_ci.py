"""What CI runs never takes longer than CI lets it, and says what it left out; a part that hangs is a failure."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / ".ci/run"


def run(folder: Path, minute: int, make: str = "exit 0") -> tuple[int, list[str], str]:
    """Run it with a `make` that notes what is asked of it, just before that minute of CI."""
    (folder / "make").write_text(f'#!/bin/sh\necho "$1" >>{folder}/asked\n{make}\n')
    (folder / "make").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "SECONDS": str(minute * 60 - 2)}
    done = subprocess.run(["bash", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, (folder / "asked").read_text().split(), done.stdout.splitlines()[-1].partition(": ")[2]


def test_all_parts_run_in_time(tmp_path: Path) -> None:
    assert run(tmp_path, 0) == (0, ["test", "test-vm", "test-faults"], "all passed that was run")


def test_all_run_whatever_fails(tmp_path: Path) -> None:
    parts = ["test", "test-vm", "test-faults"]
    assert run(tmp_path, 0, "exit 2") == (1, parts, "failed: test test-vm test-faults")


@pytest.mark.parametrize(("minute", "last"), [(50, []), (52, ["test-vm"]), (71, ["test-vm", "test-faults"])])
def test_nothing_begins_that_might_not_end(tmp_path: Path, minute: int, last: list[str]) -> None:
    parts = [part for part in ("test", "test-vm", "test-faults") if part not in last]
    unrun = f"; not run for want of time: {' '.join(last)}" if last else ""
    assert run(tmp_path, minute) == (0, parts, f"all passed that was run{unrun}")


def test_the_runs_under_fire_begin_no_row_that_might_not_end(tmp_path: Path) -> None:
    run(tmp_path, 65, f"echo $MINUTES >{tmp_path}/minutes")
    assert int((tmp_path / "minutes").read_text()) in (14, 15)


def test_what_hangs_has_failed(tmp_path: Path) -> None:
    code, asked, told = run(tmp_path, 85, "sleep 30")
    assert (code, asked) == (1, ["test"])
    assert told.startswith("failed: test (not done by minute 85); not run for want of time: test-vm test-faults")


def test_what_a_failed_part_said_is_read_again_at_the_end(tmp_path: Path) -> None:
    said = "echo before\necho === summary ===\necho $1 went wrong\ntest $1 != test-vm\n"
    (tmp_path / "make").write_text(f"#!/bin/sh\n{said}")
    (tmp_path / "make").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    *_, heading, summary, wrong, empty, last = done.stdout.splitlines()
    assert (heading, summary, wrong, empty) == (
        "##### make test-vm ended so:",
        "=== summary ===",
        "test-vm went wrong",
        "",
    )
    assert last.endswith(": failed: test-vm")
