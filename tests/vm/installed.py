"""`cai` as its users have it: the wheel of this repository, installed for a Python that the scenario's user may run."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hosts import paths
from tests.hosts.shell import HostError, run

from .user import User

_NEW_ENOUGH = "import sys; raise SystemExit(sys.version_info < (3, 11))"


def python(user: User, room: Path) -> Path:
    """The Python of a venv with `cai` in it. The playbooks come with the wheel, so the repository need not be readable for the user."""
    venv = (room if user.run(["test", "-x", paths.CACHE]).returncode else paths.CACHE / "vm") / "venv"
    own = venv / "bin" / "python"
    if user.run([own, "-c", _NEW_ENOUGH]).returncode != 0:
        run([_base(user), "-m", "venv", "--clear", "--without-pip", venv])
    # A local folder is installed anew each time, its dependencies only where they are missing.
    run([sys.executable, "-m", "pip", "--python", own, "install", "--quiet", "--disable-pip-version-check", paths.ROOT])
    return own


def _base(user: User) -> str:
    """A Python that this user may run; one below root's home is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if user.run([candidate, "-c", _NEW_ENOUGH]).returncode == 0:
            return candidate
    raise HostError("no Python 3.11 or newer that an ordinary user may run\n hint: run `apt-get install python3`")
