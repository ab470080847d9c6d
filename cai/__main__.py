"""Entry point of the `cai` command and of `python -m cai`."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # A dry run promises to leave the disk alone, so not even a .pyc may be written beside us.
    if "--dry-run" in sys.argv or "doctor" in sys.argv:
        sys.dont_write_bytecode = True
    from cai.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
