"""The one error type users see, and the exit codes. Imports nothing of ours."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; never Ansible's own."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PRECONDITION = 3
    UNREACHABLE = 4
    INTERNAL = 70
    INTERRUPTED = 130


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
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint
        self.log = log
        self.code = code
        self.verbatim = verbatim  # the message is a drawing of its own and gets no "Error:" before it
