"""Check that a tag may be released, and print its section of the changelog.

usage: python scripts/release.py vVERSION

The tag is the version of the package, and CHANGELOG.md has a section "## VERSION (YYYY-MM-DD)" that says something.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """Why the tag is not released."""


def version(root: Path) -> str:
    """Return the version that the package has."""
    found = re.search(r'^__version__ = "([^"]+)"$', (root / "cai" / "__init__.py").read_text("utf-8"), re.MULTILINE)
    if not found:
        raise ReleaseError("cai/__init__.py has no __version__.")
    return found[1]


def notes(root: Path, tag: str) -> str:
    """Return the section of the changelog for a tag."""
    wanted = version(root)
    if tag != f"v{wanted}":
        raise ReleaseError(f"The tag is {tag}, and the package has the version {wanted}: v{wanted} is needed.")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    section = re.search(rf"^## {re.escape(wanted)} \(([^)]*)\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not section or not section[2].strip():
        raise ReleaseError(f"CHANGELOG.md says nothing about {wanted}.")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", section[1]):
        raise ReleaseError(
            f"CHANGELOG.md has {wanted} as {section[1]!r}; the day of the release is needed, YYYY-MM-DD."
        )
    return section[2].strip()


def main() -> int:
    """Return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(notes(ROOT, sys.argv[1]))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
