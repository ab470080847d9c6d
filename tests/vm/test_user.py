"""A run that is cancelled or killed leaves nothing: no user, no home, no process; at the latest after the next run."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import paths

_RUN = """
import pathlib, sys
from tests.vm.__main__ import on_endings
from tests.vm.user import temporary
on_endings()
with temporary(pathlib.Path(sys.argv[1])) as user:
    print(user.name, flush=True)
    user.run(["sleep", sys.argv[2]], timeout=200)
"""


class Runs:
    """Runs of the user's life in a checkout of their own."""

    def __init__(self, folder: Path) -> None:
        self.temp = folder / "temp"
        self.temp.mkdir()
        folder.chmod(0o755)
        self.environment = {**os.environ, "CAI_TEST_CACHE": str(folder / "cache"), "PYTHONPATH": str(paths.ROOT)}

    def start(self, seconds: int = 100, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _RUN, str(self.temp), str(seconds)]
        return subprocess.Popen(
            words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before
        )

    def left(self, name: str) -> list[str]:
        found = [path.name for path in self.temp.iterdir()]
        if os.geteuid() == 0:
            found += [user.pw_name for user in pwd.getpwall() if user.pw_name == name]
        return found


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what a shell does to what it puts into the background


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cancelled_run_takes_everything_along(runs: Runs, number: signal.Signals) -> None:
    with runs.start(before=_ignore) as run:
        assert run.stdout
        name = run.stdout.readline().strip()
        assert runs.left(name)
        began = time.monotonic()
        run.send_signal(number)
        assert run.wait(timeout=60) == 128 + number
    assert time.monotonic() - began < 30
    assert runs.left(name) == []


def test_the_next_run_takes_away_what_a_killed_one_left(runs: Runs) -> None:
    with runs.start() as run:
        assert run.stdout
        name = run.stdout.readline().strip()
        run.kill()
        run.wait()
    left = runs.left(name)
    assert left
    with runs.start(seconds=0) as run:
        _, told = run.communicate(timeout=60)
        assert run.returncode == 0
    assert f"taking away what a killed run has left: {runs.temp / left[0]}" in told
    assert runs.left(name) == []


def test_a_second_run_beside_a_living_one_is_refused(runs: Runs) -> None:
    with runs.start() as first:
        assert first.stdout
        name = first.stdout.readline()
        with runs.start() as second:
            _, told = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"another run has the VM of this checkout (process {first.pid})" in told
        first.terminate()
        first.wait(timeout=60)
    assert runs.left(name.strip()) == []
