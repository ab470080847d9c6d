"""Take each protection of the table out of a copy of the project, one at a time, and see the test that it names fail.

usage: python -m tests.mutations [--all] [WORD...]      words choose the rows that hold one of them; else those that a change concerns
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.hosts.paths import ROOT
from tests.mutations.changed import TABLE, changed, record
from tests.mutations.copy import SECONDS, Copy, Mutation, StaleError, import_libraries

COPIES = 2
SLOWEST = 10


def table() -> list[Mutation]:
    """Read the rows."""
    return [Mutation(**row) for row in yaml.safe_load((ROOT / TABLE).read_text(encoding="utf-8"))]


def chosen(words: list[str]) -> tuple[list[Mutation], str]:
    """Return the rows that are asked for, and which these are."""
    rows, wanted = table(), [word for word in words if word != "--all"]
    if wanted:
        return [row for row in rows if any(word in f"{row.keeps} {row.file}" for word in wanted)], "those asked for"
    return (rows, "all") if "--all" in words or os.environ.get("FULL") else changed(rows)


def unharmed(copies: list[Copy], rows: list[Mutation]) -> set[str]:
    """Return the tests that fail with every protection in place."""
    tests = sorted({row.test for row in rows})
    files = sorted({test.partition("::")[0] for test in tests})
    for number, copy in enumerate(copies):
        own = {*files[number :: len(copies)]}
        if own:  # without a test's name, pytest would run them all
            copy.start(*(test for test in tests if test.partition("::")[0] in own), seconds=len(rows) * SECONDS)
    at_work = copies[: len(files)]
    for copy in at_work:
        os.waitpid(copy.pid, 0)
    return {test for copy in at_work for test in copy.ended()}


def outcomes(copies: list[Copy], rows: list[Mutation]) -> Iterator[tuple[Mutation, str, list[str], float]]:
    """Run the rows, as many at a time as there are copies; yield the row, what went wrong, the tests that failed, and its seconds."""
    left, free, running = list(reversed(rows)), list(copies), {}
    while left or running:
        while left and free:
            row, copy = left.pop(), free.pop()
            try:
                copy.take_out(row)
            except StaleError as error:
                free.append(copy)
                yield row, str(error), [], 0
                continue
            copy.start(row.test)
            running[copy.pid] = row, copy, time.monotonic()
        if running:
            row, copy, begun = running.pop(os.wait()[0])
            try:
                yield row, "", copy.ended(), time.monotonic() - begun
            except StaleError as error:
                yield row, str(error), [], time.monotonic() - begun
            copy.put_back()
            free.append(copy)


def main() -> int:
    """Run the rows; 1 when one protection could go without a test that fails."""
    start = time.monotonic()
    rows, which = chosen(sys.argv[1:])
    print(f"{len(rows)} protections, {which}", flush=True)
    bad, seconds = 0, []
    with tempfile.TemporaryDirectory(prefix="cai-mutations-") as folder:
        import_libraries()
        copies = [Copy(Path(folder) / str(number)) for number in range(min(COPIES, len(rows)))]
        try:
            before = unharmed(copies, rows)
        except StaleError as error:
            print(f"CANNOT TELL: {error}")
            return 1
        for row, wrong, failed, took in outcomes(copies, rows):
            already = {*failed} & before
            good = failed and not already
            said = f"without it: {failed[0]}" if failed else f"NOTHING FAILS without it in {row.test}"
            if wrong or already:
                said = f"CANNOT TELL: {wrong or f'{already.pop()} fails with every protection in place'}"
            print(f"{'ok ' if good else 'BAD'}  {row.keeps}\n       {said}", flush=True)
            bad += not good
            seconds.append((took, row.keeps))
    for took, keeps in sorted(seconds, reverse=True)[:SLOWEST]:
        print(f"{took:6.1f} s  {keeps}")
    print(
        f"{len(rows)} protections taken out, {len(rows) - bad} noticed by a test, in {time.monotonic() - start:.0f} s"
    )
    if which == "all" and not bad:
        record()
    return 1 if bad or (sys.argv[1:] and not rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
