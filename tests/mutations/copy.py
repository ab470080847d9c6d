"""A copy of the project in which a protection is taken out, and tests of it in a fork of this process.

The fork has the big libraries already, and nothing of the project: a row costs the tests' own time and little more.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.paths import ROOT

# What takes long to import, and is none of the project's.
LIBRARIES = (
    "ansible.module_utils.basic", "ansible.module_utils.testing", "ansible_runner", "click", "hypothesis.strategies", "jinja2", "rich.live", "yaml",
)  # fmt: skip
# What an edit that leaves no valid program looks like: a failure for such a reason shows nothing.
BROKEN = re.compile(r"\b(NameError|SyntaxError|IndentationError|UnboundLocalError|ImportError|ModuleNotFoundError)\b")
SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """One thing that protects, how to take it out, and the test that notices."""

    keeps: str
    file: str
    without: str
    test: str
    instead: str = ""


class StaleError(Exception):
    """The table does not fit the code any more."""


def mutated(text: str, mutation: Mutation) -> str:
    """Return the file's text without the protection; what is to go has to be there once."""
    if text.count(mutation.without) != 1:
        raise StaleError(f"{mutation.file} holds this {text.count(mutation.without)} times: {mutation.without}")
    return text.replace(mutation.without, mutation.instead)


def import_libraries() -> None:
    """Import what every fork needs, once."""
    for name in LIBRARIES:
        importlib.import_module(name)


@dataclass(eq=False)
class Outcome:
    """What pytest says of a run: it is a plugin of it."""

    code: int = -1
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    passed: int = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note one test."""
        self.passed += report.when == "call" and report.passed
        if report.failed:
            (self.failed if report.when == "call" else self.errors).append(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """Note a file that cannot be read."""
        if report.failed:
            self.errors.append(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Note how it went, before what a test has left behind is looked at."""
        self.code = int(exitstatus)


class Copy:
    """A copy of the project, for one run of tests at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pid = folder / "project", 0
        self.said, self.told, self.scratch = folder / "said", folder / "told.json", folder / "tmp"
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        self._before: tuple[Path, bytes, int] | None = None

    def take_out(self, mutation: Mutation) -> None:
        """Take the protection out; the file has another time, by which its compiled form is not used."""
        path = self.folder / mutation.file
        text, time = path.read_bytes(), path.stat().st_mtime_ns
        path.write_text(mutated(text.decode(), mutation), encoding="utf-8")
        os.utime(path, ns=(time, time + 2 * 10**9))
        self._before = path, text, time

    def put_back(self) -> None:
        """Put back what was taken out."""
        if self._before:
            path, text, time = self._before
            path.write_bytes(text)
            os.utime(path, ns=(time, time))
            self._before = None

    def start(self, *tests: str, seconds: int = SECONDS) -> None:
        """Run tests in a fork of this process, which ends after so many seconds."""
        self.told.unlink(missing_ok=True)
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            try:
                self._run(tests, seconds)
            except BaseException:
                traceback.print_exc(file=sys.stdout)
                raise
            finally:
                sys.stdout.flush()
                os._exit(0)

    def _run(self, tests: tuple[str, ...], seconds: int) -> None:
        os.setsid()
        signal.alarm(seconds)
        said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, source in enumerate((os.open(os.devnull, os.O_RDONLY), said, said)):
            os.dup2(source, number)
        os.chdir(self.folder)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "cai", "scripts")]:
            del sys.modules[name]
        sys.path[:] = [str(self.folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
        # The first run of a copy leaves the compiled forms of what is as it was.
        sys.dont_write_bytecode = self._before is not None
        os.environ.update(PYTHONPATH=str(self.folder), PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        outcome = Outcome()
        words = ["-q", "--no-header", "--tb=short", f"--rootdir={self.folder}", f"--basetemp={self.scratch}"]
        try:
            pytest.main([*words, *tests], plugins=[outcome])
        finally:
            sys.stdout.flush()
            self.told.write_text(json.dumps(vars(outcome)))

    def ended(self) -> list[str]:
        """After the fork has ended: return the tests that failed for a reason of theirs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what a test without its protection has left
        text = self.said.read_text(encoding="utf-8", errors="replace")[-3000:]
        told = json.loads(self.told.read_text()) if self.told.exists() else {"code": -1, "errors": []}
        if told["code"] not in (0, 1) or told["errors"]:
            raise StaleError(f"the tests cannot be run:\n{text}")
        if told["failed"] and BROKEN.search(text):
            raise StaleError(f"what is left is no valid program:\n{text}")
        if not told["failed"] and not told["passed"]:
            raise StaleError(f"no test ran:\n{text}")
        return told["failed"]
