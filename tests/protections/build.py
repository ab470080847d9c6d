"""A test build: a copy of the project with an interpreter of its own that runs the copy, in which a protection can be taken out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.paths import ROOT

# Scripts of the environment that tests start by their path.
SCRIPTS = ("ansible-playbook", "ansible-config", "docker", "limactl")
# What an edit that leaves no valid program looks like: a failure for such a reason shows nothing.
BROKEN = re.compile(r"\b(NameError|SyntaxError|IndentationError|UnboundLocalError|ImportError|ModuleNotFoundError)\b")
SECONDS = 600


@dataclass(frozen=True)
class Protection:
    """One thing that protects, how to take it out, and who notices."""

    keeps: str
    file: str
    without: str
    test: str
    instead: str = ""


class StaleError(Exception):
    """The table does not fit the code any more."""


def weakened(text: str, protection: Protection) -> str:
    """Return the file's text without the protection; what is to go has to be there once."""
    if text.count(protection.without) != 1:
        raise StaleError(f"{protection.file} holds this {text.count(protection.without)} times: {protection.without}")
    return text.replace(protection.without, protection.instead)


class Build:
    """The copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.python = self._environment(folder / ".cache" / "venv")

    def _environment(self, place: Path) -> Path:
        """The session's packages, but cai from the copy; the `.pth` of the session's own editable cai is not read there."""
        venv.create(place, symlinks=True)
        own = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
        (own / "build.pth").write_text(f"{self.folder}\n{sysconfig.get_path('purelib')}\n")
        python, programs = place / "bin" / "python", Path(sys.executable).parent
        _script(place / "bin" / "cai", python, "from cai.__main__ import main\nmain()\n")
        for name in SCRIPTS:
            if (programs / name).exists():
                body = (programs / name).read_text(encoding="utf-8").partition("\n")[2]
                _script(place / "bin" / name, python, body)
        return python

    def fails(self, protection: Protection) -> list[str]:
        """Return the tests that fail without the protection, and put it back."""
        path = self.folder / protection.file
        before = path.read_text(encoding="utf-8")
        path.write_text(weakened(before, protection), encoding="utf-8")
        try:
            return self.run(protection.test)
        finally:
            path.write_text(before, encoding="utf-8")

    def run(self, *tests: str) -> list[str]:
        """Run tests; return those that failed for a reason of theirs."""
        words = ["-m", "pytest", "-q", "-rfE", "--no-header", "-p", "no:hypothesispytest", "-p", "no:xdist", *tests]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [self.python, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        if done.returncode not in (0, 1) or re.search(r"^ERROR ", done.stdout, re.MULTILINE):
            raise StaleError(f"{' '.join(tests)} cannot be run:\n{done.stdout[-1500:]}{done.stderr[-500:]}")
        failed = re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
        if failed and BROKEN.search(done.stdout):
            raise StaleError(f"what is left is no valid program:\n{done.stdout[-1500:]}")
        return failed


def _script(path: Path, python: Path, body: str) -> None:
    path.write_text(f"#!{python}\n{body}", encoding="utf-8")
    path.chmod(0o755)
