"""sudo's password: asked for once, hidden, checked before anything starts, kept in memory only."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cai import paths
from cai.errors import CaiError, Exit

_TRIES = 3
_KNOWS_SUDO_RS = (2, 22)
_REFUSALS = ("sudoers", "not allowed", "I'm afraid I can't do that")  # the last: sudo-rs
# By their paths: a sudo without secure_path would look in the user's own.
_TRUE, _SHELL = "/usr/bin/true", "/bin/sh"
# The furthest is the module: one SIGINT lets it clear away its temporary folder.
_END = 'PATH=/usr/bin:/bin; for last; do :; done; kill -INT "$last"; sleep 0.4; kill -TERM "$@"'


def password(prompt: str = "[sudo] password for {user}: ") -> str | None:
    """Ask for the password when sudo wants one; None when root or passwordless."""
    if os.geteuid() == 0:
        return None
    if not shutil.which("sudo"):
        raise CaiError(
            "This needs root, and there is no sudo here.",
            hint=f"run `su -c '{_cai()} setup'`, or install sudo",
            code=Exit.PRECONDITION,
        )
    chosen = program()
    # -k: a cached ticket belongs to this terminal; Ansible's sudo runs in another and would not see it.
    if _sudo(["-k", "-n", _TRUE]).returncode == 0:
        return None
    found = _unknown_to_ansible(chosen)
    if found:
        raise _refused(
            f"The sudo here is {found}, and its question for the password is one that Ansible does not know; "
            "needed is the classic sudo (as `sudo` or `sudo.ws`), or one that asks for no password."
        )
    return _ask(prompt)


def can_run_python(secret: str | None) -> str | None:
    """Have root start this Python; return what was said where it cannot, None where it can."""
    sign = ["-S", "-k", "-p", ""] if secret else ["-n"]
    done = _sudo([*sign, _SHELL, "-c", 'exec "$0" -IS -c ""', sys.executable], secret or "", cwd="/")
    return None if done.returncode == 0 else done.stderr


def program() -> str:
    """Name the sudo to use: where sudo-rs has that name (Ubuntu 25.10 and newer), the classic one beside it."""
    return "sudo.ws" if _unknown_to_ansible("sudo") and shutil.which("sudo.ws") else "sudo"


@functools.cache
def _unknown_to_ansible(name: str) -> str:
    """Say what a sudo calls itself whose prompt Ansible does not know: sudo-rs before ansible-core 2.22."""
    if tuple(map(int, _ansible_version().split(".")[:2])) >= _KNOWS_SUDO_RS:
        return ""
    asked = subprocess.run([name, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    said = f"{asked.stdout}{asked.stderr}".strip()
    return said.splitlines()[0] if said.startswith("sudo-rs") else ""


def _ansible_version() -> str:
    from importlib.metadata import version

    return version("ansible-core")


def _ask(prompt: str) -> str:
    import getpass
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    for _ in range(_TRIES):
        try:
            _terminal()
            secret = getpass.getpass(prompt.format(user=user))
        except (OSError, EOFError):
            raise _refused("sudo wants a password, and there is no terminal to ask on.") from None
        answer = _sudo(["-k", "-S", "-p", "", _TRUE], secret)
        if answer.returncode == 0:
            return secret
        if any(words in answer.stderr for words in _REFUSALS):
            raise _refused(f"{user} may not use sudo on this machine.", "run `cai setup` as a user who may, or as root")
        sys.stderr.write("Sorry, try again.\n")
    raise _refused(f"sudo did not accept the password, {_TRIES} times.", "run `cai setup` again; nothing was changed")


def _terminal() -> None:
    """Raise OSError without a terminal; getpass would read stdin instead, visibly, with a warning."""
    os.close(os.open("/dev/tty", os.O_RDWR))


def end(pids: list[int], secret: str | None) -> None:
    """End root's processes that a run started, as the user who started them may."""
    sign = ["-S", "-k", "-p", ""] if secret else ["-n"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # In a session of its own, which a second Ctrl-C at the terminal does not reach.
        _sudo([*sign, _SHELL, "-c", _END, "sh", *map(str, pids)], secret or "", timeout=1.5, start_new_session=True)


def _refused(
    message: str, hint: str = "run `sudo {cai} setup`, or look at the plan with `cai setup --dry-run`"
) -> CaiError:
    return CaiError(message, hint=hint.format(cai=_cai()), code=Exit.PRECONDITION)


def _cai() -> str:
    """Name `cai` as root can type it: not where pipx puts it, below the home folder, does root's PATH look."""
    program = Path(sys.argv[0]).absolute()
    known = program.name != "cai" or str(program.parent) in paths.SYSTEM_PATH.split(":")
    return "cai" if known else shlex.quote(str(program))


def _sudo(arguments: list[str], secret: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(), *arguments],
        input=f"{secret}\n" if secret else "",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
        **more,
    )
