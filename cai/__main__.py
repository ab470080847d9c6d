"""Entry point of the `cai` command and of `python -m cai`."""

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Run the command line and leave with its exit code."""
    # A dry run promises to leave the disk alone, so not even a .pyc may be written beside us.
    if "--dry-run" in sys.argv or sys.argv[1:2] in (["doctor"], ["status"]):
        sys.dont_write_bytecode = True
    _leave_the_working_directory()
    try:
        from cai.cli import run
    except KeyboardInterrupt:
        sys.exit(130)  # nothing has begun; Python would show a traceback

    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt, and Python would show a traceback
    sys.exit(code)


def _leave_the_working_directory() -> None:
    """Look for modules and programs in no folder that depends on where cai was typed: that may be a foreign repository.

    `python -m`, `PYTHONPATH=$UNSET:/x` and `PATH=$UNSET:/usr/bin` all put it first.
    """
    programs = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(part for part in programs if part.startswith("/"))
    try:
        here = str(Path.cwd())
    except OSError:  # a folder that is gone holds nothing
        return
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    foreign = {"", here, *(os.path.normpath(f"{here}/{part}") for part in listed if not part.startswith("/"))}
    library = str(Path(os.__file__).parent)
    own = sys.path.index(library) if library in sys.path else 0  # the interpreter's own folders begin here
    sys.path[:own] = [folder for folder in sys.path[:own] if folder not in foreign]


if __name__ == "__main__":
    main()
