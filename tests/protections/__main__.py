"""Take each protection of the table out of a copy of the project, one at a time, and see the test that it names fail.

usage: python -m tests.protections [WORD...]      words choose the rows that hold one of them
"""

from __future__ import annotations

import queue
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

from tests.protections.build import Build, Protection, StaleError

TABLE = Path(__file__).with_name("table.yml")
WORKERS = 2


def table() -> list[Protection]:
    """Read the rows."""
    return [Protection(**row) for row in yaml.safe_load(TABLE.read_text(encoding="utf-8"))]


class Session:
    """All rows, on two copies."""

    def __init__(self, rows: list[Protection], folder: Path) -> None:
        self.folder = folder
        self.rows: queue.SimpleQueue[Protection] = queue.SimpleQueue()
        for row in rows:
            self.rows.put(row)
        self.printing = threading.Lock()
        self.bad: list[str] = []

    def work(self, name: str) -> None:
        """Take rows until there are none."""
        build = Build(self.folder / name)
        while True:
            try:
                row = self.rows.get_nowait()
            except queue.Empty:
                return
            try:
                failed = build.fails(row)
                said = f"without it: {failed[0]}" if failed else f"NOTHING FAILS without it in {row.test}"
            except StaleError as error:
                failed, said = [], f"CANNOT TELL: {error}"
            with self.printing:
                print(f"{'ok ' if failed else 'BAD'}  {row.keeps}\n       {said}", flush=True)
                if not failed:
                    self.bad.append(row.keeps)


def main() -> int:
    """Run the rows; 1 when one protection could go without a test that fails."""
    start, words = time.monotonic(), sys.argv[1:]
    rows = [row for row in table() if not words or any(word in f"{row.keeps} {row.file}" for word in words)]
    with tempfile.TemporaryDirectory(prefix="cai-protections-") as folder:
        whole = Build(Path(folder) / "whole").run(*sorted({row.test for row in rows}))
        if whole:
            print(f"These fail already with every protection in place: {', '.join(whole)}")
            return 1
        session = Session(rows, Path(folder))
        workers = [threading.Thread(target=session.work, args=(str(number),)) for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    print(
        f"{len(rows)} protections taken out, {len(rows) - len(session.bad)} noticed by a test, in {time.monotonic() - start:.0f} s"
    )
    return 1 if session.bad or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main())
