"""Tell Docker's CLI from other programs of that name (Podman's shim has no contexts), and its reasons from its advice."""

from __future__ import annotations

import os
import re
import shutil

# What distributions and people put at `docker`: a script that runs another program, or a link to it.
OTHERS = ("podman", "podman-remote", "nerdctl", "finch")
RUNS_ANOTHER = re.compile(rb"\b(?:" + b"|".join(name.encode() for name in OTHERS) + rb")\b")

# The last line of a failed `docker run` is how to use the command, in the words of newer and older ones.
ADVICE = re.compile(r"(?:Run|See) 'docker .*--help'")


def reason(stderr, code):
    """Return the last line in which the CLI says why it failed; its exit code where it says nothing."""
    lines = [line for line in stderr.splitlines() if line.strip() and not ADVICE.match(line)]
    return lines[-1] if lines else f"exit code {code}"


def is_docker(path):
    """Whether the program is Docker's own, as far as its file tells; a dangling link is (Docker Desktop's comes and goes with its program)."""
    if os.path.basename(os.path.realpath(path)) in OTHERS:
        return False
    try:
        with open(path, "rb") as handle:
            head = handle.read(4096)
    except OSError:
        return True
    return not (head.startswith(b"#!") and RUNS_ANOTHER.search(head))


def find(names, path):
    """Return the first of the programs that is Docker's CLI; None if there is none."""
    found = (shutil.which(name, path=folder) for name in names for folder in path.split(os.pathsep))
    return next((program for program in found if program and is_docker(program)), None)
