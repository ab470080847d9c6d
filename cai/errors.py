"""The one error type users see, and the exit codes. Imports no other module of this package."""

from __future__ import annotations

import errno
from enum import IntEnum

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Exit(IntEnum):
    """Exit codes of every command; never Ansible's own."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PRECONDITION = 3
    UNREACHABLE = 4
    INTERNAL = 70
    INTERRUPTED = 130


_KINDS = {
    Exit.OK: "failed", Exit.FAILED: "failed", Exit.USAGE: "usage", Exit.PRECONDITION: "precondition",
    Exit.UNREACHABLE: "unreachable", Exit.INTERNAL: "internal", Exit.INTERRUPTED: "interrupted",
}  # fmt: skip


class CaiError(Exception):
    """What was found and what is needed, the command that mends it, and where to read more."""

    def __init__(
        self,
        message: str,
        *,
        details: str = "",
        hint: str = "",
        log: str = "",
        code: Exit = Exit.FAILED,
        verbatim: bool = False,
        kind: str = "",
        host: str = "",
        step: str = "",
        later: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint
        self.log = log
        self.code = code
        self.verbatim = verbatim  # the message is a drawing of its own and gets no "Error:" before it
        self.kind = kind or _KINDS[code]
        self.host = host
        self.step = step
        self.later = later  # it came after another error, which is the one to mend first


def no_room(error: BaseException) -> CaiError | None:
    """Say that a disk is full or read-only, where that is what an exception means."""
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return None
    what = error.filename or "A file of this run"
    return CaiError(
        f"{what} cannot be written: {error.strerror}.",
        hint="run `df -h ~ /tmp`, make room or mend the mount, then try again",
    )
