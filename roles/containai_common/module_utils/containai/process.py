"""The one way to run a program: found in the system's folders, without the caller's environment, terminal and input."""

from __future__ import annotations

import shutil
import subprocess

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def which(name):
    """Return the path of a program in the system's folders; None if it is missing."""
    return shutil.which(name, path=PATH)


def run(argv, *, environment=None, env=None, text=True, **more):
    """Return the ended program. `environment` is added to PATH and the locale, `env` replaces them.

    `more` is for subprocess.run.
    """
    own = {"PATH": PATH, "LC_ALL": "C.UTF-8", **(environment or {})}
    if text:
        more.update(encoding="utf-8", errors="replace")
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    return subprocess.run(argv, capture_output=True, check=False, env=own if env is None else env, **more)


def attempt(argv, **more):
    """Run a program as `run` does; None if it is missing, cannot be run or does not end in time."""
    try:
        return run(argv, **more)
    except (OSError, subprocess.TimeoutExpired):
        return None


def output(argv, **more):
    """Return what a program prints, whatever its exit code; empty if it could not be run."""
    done = attempt(argv, **more)
    return done.stdout if done else ""
