"""The one error of the roles."""

from __future__ import annotations

import contextlib

from ansible.module_utils.containai.redaction import mask

MEND = "mend it in your settings or on the command line: `cai setup -e NAME=VALUE`"


class Failure(Exception):
    """What was found and is needed; the command that mends it; the kind: failed, precondition, unsupported or gate."""

    def __init__(self, message, hint, kind="failed"):
        super().__init__(message)
        self.message, self.hint, self.kind = mask(message), hint, kind  # it may hold addresses, and what a program said

    @property
    def told(self):
        """The arguments of a module's fail_json."""
        return {"msg": self.message, "hint": self.hint, "failure": self.kind}


def bad_setting(message, hint=MEND):
    """Return the Failure of a setting that cannot be used."""
    return Failure(message, hint, "precondition")


@contextlib.contextmanager
def reporting(module, mend):
    """End the module with what a Failure says, or name the file that cannot be used, with the hint `mend`."""
    try:
        yield
    except Failure as failure:
        module.fail_json(**failure.told)
    except OSError as error:
        what = error.filename or "A file"
        module.fail_json(msg=f"{what} cannot be used: {error.strerror}.", hint=mend, failure="failed")
