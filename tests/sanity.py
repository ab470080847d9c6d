"""The collection that is made from this repository, under `ansible-test sanity`. usage: python -m tests.sanity"""

from __future__ import annotations

import os
import subprocess
import sys

from scripts import collection
from tests.hosts import paths

WORK = paths.CACHE / "sanity"
SOURCE = WORK / "ansible_collections/containai/secure_engine"
# ansible-test makes environments without pip, and fetches pip's bootstrap script from a host of its own; Python has one too.
PIP = "import ensurepip\nensurepip.bootstrap()\n"
# pylint's own opinions are ruff's here; compile asks for Pythons of targets, which the tests on hosts have.
LEFT_OUT = ("pylint", "compile")


def main() -> int:
    """Make the collection and check it; the exit code is that of ansible-test."""
    if collection.main([str(SOURCE)]):
        return 1
    # It checks what a repository knows, and this folder is ignored by the one around it.
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *words], cwd=SOURCE, check=True)
    home = WORK / "home"
    bootstrap = home / ".ansible/test/cache/get_pip_24_2.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text(PIP)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    skipped = [word for name in LEFT_OUT for word in ("--skip-test", name)]
    line = ["ansible-test", "sanity", "--color", "no", "--python", python, *skipped]
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    return subprocess.run(line, cwd=SOURCE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
