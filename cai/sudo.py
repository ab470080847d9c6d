"""sudo's password: asked for once, hidden, checked before anything starts, kept in memory only."""

from __future__ import annotations

import os
import shutil
import subprocess

from cai.errors import CaiError, Exit

_TRIES = 3


def password(prompt: str = "[sudo] password for {user}: ") -> str | None:
    """Ask for the password when sudo wants one; None when root or passwordless."""
    if os.geteuid() == 0:
        return None
    if not shutil.which("sudo"):
        raise CaiError(
            "This needs root, and there is no sudo here.",
            hint="run `su -c 'cai setup'`, or install sudo",
            code=Exit.PRECONDITION,
        )
    # -k: a cached ticket belongs to this terminal; Ansible's sudo runs in another and would not see it.
    if _sudo(["-k", "-n", "true"]).returncode == 0:
        return None
    return _ask(prompt)


def _ask(prompt: str) -> str:
    import getpass
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    for _ in range(_TRIES):
        try:
            # /dev/tty itself: getpass would fall back to reading stdin, visibly, with a warning.
            with open("/dev/tty", "rb+", buffering=0):  # noqa: PTH123
                secret = getpass.getpass(prompt.format(user=user))
        except (OSError, EOFError):
            raise _refused("sudo wants a password, and there is no terminal to ask on.") from None
        answer = _sudo(["-k", "-S", "-p", "", "true"], secret)
        if answer.returncode == 0:
            return secret
        if "sudoers" in answer.stderr or "not allowed" in answer.stderr:
            raise _refused(f"{user} may not use sudo on this machine.")
    raise _refused("sudo did not accept the password.")


def _refused(message: str) -> CaiError:
    return CaiError(
        message,
        hint="run `sudo cai setup`, or see what would be done with `cai setup --dry-run`",
        code=Exit.PRECONDITION,
    )


def _sudo(arguments: list[str], secret: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sudo", *arguments],
        input=f"{secret}\n" if secret else "",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
