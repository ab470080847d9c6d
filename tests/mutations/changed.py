"""Which rows a change concerns: those whose file or test is not what has landed on the main branch."""

from __future__ import annotations

import subprocess
from pathlib import PurePath

import yaml

from tests.hosts.paths import ROOT
from tests.mutations.copy import Mutation

TABLE = "tests/mutations/table.yml"
# The main branch, as a clone knows it.
LANDED = ("@{upstream}", "origin/main", "main")
EVERYTHING = ("requirements/", "pyproject.toml", "tests/mutations/")


def git(*words: str) -> str | None:
    """Ask git; None when it has no answer."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def changed(rows: list[Mutation]) -> tuple[list[Mutation], str]:
    """Return the rows to run and why; all of them when the last landed commit is not known, or is this very one."""
    base = next((found for name in LANDED if (found := git("merge-base", "HEAD", name))), "").strip()
    names = git("diff", "--name-only", base) if base else None
    new = git("ls-files", "--others", "--exclude-standard")
    if names is None or new is None:
        return rows, "all: no landed commit is known to compare with"
    files = {*names.split(), *new.split()}
    if not files:
        return rows, "all: nothing differs from the landed commit"
    if any(name.startswith(EVERYTHING) for name in files - {TABLE}):
        return rows, "all: what runs them has changed"
    before = git("show", f"{base}:{TABLE}")
    known = [Mutation(**row) for row in yaml.safe_load(before)] if before else []
    due = [row for row in rows if row not in known or concerned(row, files)]
    return due, f"those that the change since {base[:12]} concerns"


def concerned(row: Mutation, files: set[str]) -> bool:
    """Whether the row's file, its test or a helper beside or above that test is among these."""
    test = PurePath(row.test.partition("::")[0])
    helpers = [PurePath(name) for name in files if name.startswith("tests/") and "/test_" not in name]
    return bool({row.file, str(test)} & files) or any(helper.parent in test.parents for helper in helpers)
