"""Whether Sysbox can trap system calls here: found by trying it, below PID 1, in a process that then ends.

Sysbox needs a seccomp listener for each container, and the kernel allows one for a chain of processes. WSL's init holds one in some network modes
(microsoft/WSL issue 9548), so that sysbox-runc fails with "device or resource busy". A filter on PID 1 alone (`Seccomp` 2 in /proc/1/status) says nothing,
since Sysbox works under a plain one; so this tries. As root the attempt is made by `systemd-run`, whose processes descend from PID 1 as dockerd does.
"""

from __future__ import annotations

import os
import sys

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import output, which

EBUSY = 16
UNTOLD = "run `cai setup`, which tries a Sysbox container at its end"


def status(pid):
    """/proc/PID/status as a dict; empty where it cannot be read."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as handle:
            return dict(line.rstrip("\n").split(":\t", 1) for line in handle if ":\t" in line)
    except OSError:
        return {}


def descends_from_init(pid, read=status):
    """Whether a process is below PID 1 and carries at least PID 1's filters (one that entered by setns is or does not)."""
    enough = int(read(pid).get("Seccomp_filters", "0")) >= int(read(1).get("Seccomp_filters", "0"))
    while pid > 1:
        pid = int(read(pid).get("PPid", "0"))
    return pid == 1 and enough


def run_program(prefix, program, extra_environment=None):
    """Run the attempt; return its errno, or None where it could not be run."""
    argv = [*prefix, sys.executable or "/usr/bin/python3", "-IS", "-c", program]
    answer = output(argv, environment=extra_environment, timeout=60).strip()
    return int(answer) if answer.isdigit() else None


def below_init(program):
    """Make the attempt in a child of PID 1, or of the user's own service manager, which is one. None where neither can be had."""
    options = ["--quiet", "--wait", "--pipe", "--collect", "--property=RuntimeMaxSec=30"]
    if not which("systemd-run"):
        return None
    if os.geteuid() == 0:
        return run_program(["systemd-run", *options], program)
    runtime = f"/run/user/{os.geteuid()}"
    if not os.path.exists(f"{runtime}/systemd/private"):
        return None
    return run_program(["systemd-run", "--user", *options], program, {"XDG_RUNTIME_DIR": runtime})


def verdict(program):
    """Return (verdict, how it was found)."""
    errno = below_init(program)
    if errno is None:
        errno = run_program([], program)
        if errno == 0 and status(1).get("Seccomp") != "0" and not descends_from_init(os.getpid()):
            return "inconclusive", "PID 1 has a seccomp filter, and no process below it could be started to try (that takes root)"
    if errno == 0:
        return "compatible", "a seccomp listener was accepted in a child of PID 1"
    if errno == EBUSY:
        return "conflict", "a seccomp listener was refused in a child of PID 1: device or resource busy (EBUSY)"
    return "inconclusive", f"the attempt ended with {os.strerror(errno) if errno else 'no answer'}"


class Gate:
    """The verdict (compatible, conflict, inconclusive), how it was found, and the remedy for the network mode of this WSL."""

    def __init__(self, program):
        self.verdict, self.detail = verdict(program)
        conflict = self.verdict == "conflict"
        mode, fixed = containai_wsl_network.networking_mode(), conflict and containai_wsl_network.fixed_by_policy()
        self.where = f"kernel {os.uname().release}, {containai_wsl_network.told(mode, fixed)}"
        self.remedy = {"compatible": "", "conflict": containai_wsl_network.remedy(mode, fixed)}.get(self.verdict, UNTOLD)
        self.told = {
            "verdict": self.verdict,
            "detail": self.detail,
            "gate": {"verdict": "pass" if self.verdict == "compatible" else self.verdict, "found": f"{self.detail} ({self.where})"},
        }

    def finding(self):
        status = {"compatible": "pass", "conflict": "fail"}.get(self.verdict, "unknown")
        return {"part": "seccomp", "status": status, "found": self.told["gate"]["found"], "hint": self.remedy}

    def pass_or_refuse(self, explanation, force, warn):
        """Refuse a conflict, unless `force`; warn of what could not be told."""
        text = (
            f"{explanation.rstrip()}\n\nFound: {self.detail} ({self.where}).\nNeeded: a WSL whose init holds no seccomp listener, as in the network mode NAT."
        )
        if self.verdict == "conflict" and not force:
            raise Failure(text, self.remedy, "gate")
        if self.verdict == "conflict":
            warn(f"{text}\nGoing on because of --force; the remedy: {self.remedy}.")
        if self.verdict == "inconclusive":
            warn(f"Whether Sysbox can work here could not be told before: {self.detail}. Setup goes on and tries it at the end.")
