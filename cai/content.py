"""Where the playbooks, roles and inventory are."""

from __future__ import annotations

import os
from pathlib import Path

from cai.errors import CaiError, Exit

OVERRIDE = "CAI_CONTENT"


def _installed() -> list[Path]:
    """Return where this package's content may be: inside the installed package, or around it in the repository."""
    package = Path(__file__).resolve().parent
    return [package / "_content", package.parent]


def root() -> Path:
    """Find the content: $CAI_CONTENT, the copy inside the installed package, or the repository."""
    override = os.environ.get(OVERRIDE)
    candidates = [Path(override).expanduser()] if override else _installed()
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


def own(relative: str) -> Path:
    """Find a file of this package's own content, whatever $CAI_CONTENT says."""
    for folder in _installed():
        if (folder / relative).is_file():
            return folder / relative
    raise CaiError(
        f"`cai` needs {_installed()[0] / relative}, which does not exist.",
        hint="reinstall with `pipx reinstall containai-cai`",
        code=Exit.PRECONDITION,
    )
