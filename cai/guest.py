"""Hints of a step that ran in the VM, as they are typed on this machine. Pure."""

from __future__ import annotations

import re
import shlex

# What is typed on this machine in any case; a setting (`-e ...`) is for one of these.
_HERE = re.compile(r"(cai|limactl|brew|docker --context)\b|-e ")
_SHELL = re.compile(r"[&|;<>$*'\"\\]")


def in_vm(host: str) -> bool:
    """Whether a step ran in the VM: the only other host that a run of `cai` has."""
    return host not in ("", "localhost")


def typed_here(hint: str, host: str) -> str:
    """Rewrite the commands between backticks so that they run in the VM `host`."""
    return re.sub(r"`([^`]+)`", lambda found: f"`{_through(found[1], host)}`", hint) if in_vm(host) else hint


def _through(command: str, vm: str) -> str:
    if _HERE.match(command):
        return command
    inside = f"sh -c {shlex.quote(command)}" if _SHELL.search(command) else command
    return f"limactl shell {vm} {inside}"
