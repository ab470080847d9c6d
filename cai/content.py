"""Where the playbooks, roles and inventory are."""

from __future__ import annotations

import os
from pathlib import Path

from cai.errors import CaiError, Exit

OVERRIDE = "CAI_CONTENT"


def root() -> Path:
    """Find the content: $CAI_CONTENT, the copy inside the installed package, or the repository."""
    package = Path(__file__).resolve().parent
    override = os.environ.get(OVERRIDE)
    candidates = [Path(override).expanduser()] if override else [package / "_content", package.parent]
    for folder in candidates:
        if (folder / "playbooks").is_dir():
            return folder.resolve()
    raise CaiError(
        f"There are no playbooks in {candidates[0]}.",
        hint=f"run `unset {OVERRIDE}`" if override else "reinstall with `pipx reinstall containai-cai`",
        code=Exit.PRECONDITION,
    )


def playbook(command: str, platform: str) -> Path:
    """Name the playbook of a command: setup is the platform's own, the others carry a prefix."""
    name = f"{platform}.yml" if command == "setup" else f"{command}-{platform}.yml"
    path = root() / "playbooks" / name
    if not path.is_file():
        raise CaiError(
            f"`cai {command}` needs {path}, which does not exist.",
            hint="reinstall with `pipx reinstall containai-cai`",
            code=Exit.PRECONDITION,
        )
    return path
