"""Which rows a change concerns: those whose file or test is not what has landed, or not what the last run of all rows had."""

from __future__ import annotations

import subprocess
from pathlib import PurePath

import yaml

from tests.hosts.paths import ROOT
from tests.mutations.copy import Mutation

TABLE = "tests/mutations/table.yml"
# The main branch, as a clone knows it.
LANDED = ("@{upstream}", "origin/main", "main")
# The commit that all rows last ran with, noticed one and all; a clone of what has landed compares with it.
RAN = ".ci/mutations-ran"
EVERYTHING = ("requirements/", "pyproject.toml", "tests/mutations/")


def git(*words: str) -> str | None:
    """Ask git; None when it has no answer."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def changed(rows: list[Mutation]) -> tuple[list[Mutation], str]:
    """Return the rows to run and why; all of them when the last landed commit is not known, or is this very one."""
    landed = next((found for name in LANDED if (found := git("merge-base", "HEAD", name))), "").strip()
    base = landed if different(landed) else (git("show", f"HEAD:{RAN}") or "").strip()
    files = different(base)
    if not files:
        return rows, f"all: no commit to compare with is known, and none in {RAN}"
    if any(name.startswith(EVERYTHING) for name in files - {TABLE}):
        return rows, "all: what runs them has changed"
    before = git("show", f"{base}:{TABLE}")
    known = [Mutation(**row) for row in yaml.safe_load(before)] if before else []
    due = [row for row in rows if row not in known or concerned(row, files)]
    return due, f"those that the change since {base[:12]} concerns"


def different(base: str) -> set[str]:
    """Return the files that are not those of that commit; none if it is not known."""
    names = git("diff", "--name-only", base) if base else None
    new = git("ls-files", "--others", "--exclude-standard")
    return set() if names is None or new is None else {*names.split(), *new.split()}


def record() -> None:
    """Note that all rows ran with this commit, where that is what ran."""
    if git("status", "--porcelain") == "":
        (ROOT / RAN).write_text(git("rev-parse", "HEAD") or "")
        print(f"noted in {RAN}, to be committed")


def concerned(row: Mutation, files: set[str]) -> bool:
    """Whether the row's file, its test or a helper beside or above that test is among these."""
    test = PurePath(row.test.partition("::")[0])
    helpers = [PurePath(name) for name in files if name.startswith("tests/") and "/test_" not in name]
    return bool({row.file, str(test)} & files) or any(helper.parent in test.parents for helper in helpers)
