#!/usr/bin/python
"""Find out whether Sysbox can trap system calls here: by trying it, below PID 1, in a process that then ends."""

from __future__ import annotations

import os
import sys

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.process import output, which

DOCUMENTATION = r"""
module: sysbox_seccomp_probe
short_description: Try to install a seccomp user-notify listener in a disposable child of PID 1
description:
  - Sysbox needs a seccomp listener for each container, and the kernel allows one for a chain of processes. WSL's init holds one in some network modes
    (microsoft/WSL issue 9548), so that sysbox-runc fails with "device or resource busy".
  - A filter on PID 1 alone (C(Seccomp) 2 in C(/proc/1/status)) says nothing, since Sysbox works under a plain one; so this module tries.
  - As root the attempt is made by C(systemd-run), whose processes descend from PID 1 as dockerd does. Changes nothing.
  - A conflict fails with I(failure=gate), unless I(force); its hint is the remedy for WSL's network mode, as C(wslinfo) and the policies of Windows tell it.
    An inconclusive answer is a warning.
options:
  program: {type: str, required: true, description: Source of the attempt; a Python program that prints an errno.}
  box: {type: str, required: true, description: The text shown first on a conflict.}
  force: {type: bool, default: false, description: Report a conflict in a warning and go on.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- sysbox_seccomp_probe:
    program: "{{ lookup('file', 'seccomp_probe.py') }}"
    box: "{{ lookup('file', 'seccomp-conflict.txt') }}"
    force: false
"""
RETURN = r"""
gate: {type: dict, returned: always, description: "the verdict (pass, conflict, inconclusive) and what was found", sample: {verdict: pass, found: a listener was accepted}}
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: seccomp, status: pass, found: a listener was accepted, hint: ""}]}
verdict: {type: str, returned: success, description: "compatible, conflict or inconclusive", sample: compatible}
detail: {type: str, returned: success, description: how that was found, sample: "a seccomp listener was accepted in a child of PID 1"}
"""

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


def main():
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "str", "required": True},
            "box": {"type": "str", "required": True},
            "force": {"type": "bool", "default": False},
            "report": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    found, detail = verdict(module.params["program"])
    mode, fixed = containai_wsl_network.networking_mode(), found == "conflict" and containai_wsl_network.fixed_by_policy()
    surroundings = f"kernel {os.uname().release}, {containai_wsl_network.told(mode, fixed)}"
    remedy = {"compatible": "", "conflict": containai_wsl_network.remedy(mode, fixed)}.get(found, UNTOLD)
    gate = {"verdict": "pass" if found == "compatible" else found, "found": f"{detail} ({surroundings})"}
    if module.params["report"]:
        status = {"compatible": "pass", "conflict": "fail"}.get(found, "unknown")
        finding = {"part": "seccomp", "status": status, "found": gate["found"], "hint": remedy}
        module.exit_json(changed=False, verdict=found, detail=detail, findings=[finding])
    text = (
        f"{module.params['box'].rstrip()}\n\nFound: {detail} ({surroundings}).\nNeeded: a WSL whose init holds no seccomp listener, as in the network mode NAT."
    )
    if found == "conflict" and not module.params["force"]:
        module.fail_json(msg=text, hint=remedy, failure="gate", verdict=found, detail=detail, gate=gate)
    if found == "conflict":
        module.warn(f"{text}\nGoing on because of --force; the remedy: {remedy}.")
    if found == "inconclusive":
        module.warn(f"Whether Sysbox can work here could not be told before: {detail}. Setup goes on and tries it at the end.")
    module.exit_json(changed=False, verdict=found, detail=detail, gate=gate)


if __name__ == "__main__":
    main()
