#!/usr/bin/python
"""Look at Sysbox once: whether it can work here, what a run would do, and how it is."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure, reporting
from ansible.module_utils.containai.platform import platform_here
from ansible.module_utils.containai_sysbox_gate import Gate
from ansible.module_utils.containai_sysbox_health import look
from ansible.module_utils.containai_sysbox_plan import plan, plan_removal
from ansible.module_utils.containai_sysbox_rules import for_this_host

DOCUMENTATION = r"""
module: sysbox_info
short_description: Find out whether Sysbox can work on a host, what a run would do to it, and how it is
description:
  - C(gate) tries, on WSL2 alone, to install a seccomp listener in a disposable child of PID 1, as Sysbox has to. WSL's init holds one in some network modes
    (microsoft/WSL issue 9548). A conflict fails with C(failure) gate, unless I(force); its hint is the remedy for WSL's network mode, as C(wslinfo) and the
    policies of Windows tell it. An inconclusive answer is a warning. With I(report), or together with C(health), both are findings.
  - C(plan) refuses what M(sysbox_package) would refuse, and says whether it is needed.
  - C(removal) refuses what its I(state=absent) would refuse.
  - C(health) returns findings about the package and its version, its services, the runtime in daemon.json, AppArmor's rules for it, dead mounts, containers that it
    no longer serves, data saved from a killed one, running containers that are not under it, known weaknesses, and what a container under it sees of itself
    (see M(sysbox_isolation)). A container is run only where the engine and Sysbox can be used, and never in check mode.
  - Nothing else is changed.
options:
  gather_subset: {type: list, elements: str, choices: [gate, plan, removal, health], default: [health], description: What to find out.}
  version: {type: str, default: '', description: The version that is needed.}
  socket: {type: path, required: true, description: The engine's API socket.}
  daemon_json: {type: path, default: /etc/docker/daemon.json, description: The daemon.json of the engine.}
  data_roots: {type: list, elements: path, default: [], description: "The engine's data folders; the first is where data saved from a killed sysbox-mgr lie."}
  runtime: {type: path, default: /usr/bin/sysbox-runc, description: The runtime's program.}
  gate_program: {type: str, default: '', description: "For C(gate), the source of the attempt; a Python program that prints an errno."}
  explanation: {type: str, default: '', description: "For C(gate), the text shown first on a conflict."}
  report: {type: bool, default: false, description: "For C(gate), return a finding, and neither fail nor warn."}
  force: {type: bool, default: false, description: "For C(gate), report a conflict in a warning and go on."}
  source: {type: str, default: '', description: "For C(plan), as for M(sysbox_package)."}
  sha256: {type: dict, default: {}, description: "For C(plan), as for M(sysbox_package)."}
  architecture: {type: str, default: '', description: "For C(plan), as for M(sysbox_package)."}
  allow_removal: {type: list, elements: str, default: [], description: "For C(plan), as for M(sysbox_package)."}
  downgrade: {type: bool, default: false, description: "For C(plan), as for M(sysbox_package)."}
  restart_containers: {type: bool, default: false, description: "For C(plan), as for M(sysbox_package)."}
  program: {type: str, default: '', description: "For C(plan), as for M(sysbox_package)."}
  engine_ready: {type: bool, default: true, description: "For C(health), whether the engine can be used."}
  advisories: {type: list, elements: dict, default: [], description: "Weaknesses of Sysbox: C(version) (the newest that has it), C(fixed_in), C(what), C(source)."}
  known: {type: list, elements: str, default: [], description: Versions of Sysbox whose checksums the role knows.}
attributes:
  check_mode: {support: full, description: in check mode no container is run}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- sysbox_info:
    gather_subset: [health]
    version: 0.7.1
    socket: /var/run/docker-containai.sock
    daemon_json: /etc/docker/daemon.json
    data_roots: [/var/lib/docker-containai]
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with C(health), description: parts of a health report, sample: [{part: Sysbox, status: pass, found: Sysbox 0.7.1, hint: ""}]}
gate: {type: dict, returned: with C(gate) on WSL2, description: "the verdict (pass, conflict, inconclusive) and what was found", sample: {verdict: pass, found: a listener was accepted}}
verdict: {type: str, returned: with C(gate) on WSL2, description: "compatible, conflict or inconclusive", sample: compatible}
detail: {type: str, returned: with C(gate) on WSL2, description: how that was found, sample: "a seccomp listener was accepted in a child of PID 1"}
needed: {type: bool, returned: with C(plan), description: whether M(sysbox_package) would change anything, sample: false}
version: {type: str, returned: with C(plan), description: the version that is installed, sample: 0.7.1}
apparmor: {type: bool, returned: with C(plan), description: whether the host has an AppArmor profile for fusermount3, sample: false}
runtime: {type: bool, returned: with C(plan), description: whether I(daemon_json) has the runtime already, sample: true}
"""


def gather(module):
    params, wanted = module.params, module.params["gather_subset"]
    found = {}
    if "gate" in wanted and platform_here() == "wsl2":
        gate = Gate(params["gate_program"])
        found.update(gate.told)
        if params["report"] or "health" in wanted:
            found["findings"] = [gate.finding()]
        else:
            try:
                gate.pass_or_refuse(params["explanation"], params["force"], module.warn)
            except Failure as failure:
                module.fail_json(**failure.told, **found)
    if "plan" in wanted:
        found.update(plan(for_this_host(params), module.warn))
    if "removal" in wanted:
        plan_removal(params)
    if "health" in wanted:
        found["findings"] = [*found.get("findings", []), *look(params, module.check_mode)]
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "choices": ["gate", "plan", "removal", "health"], "default": ["health"]},
            "version": {"type": "str", "default": ""},
            "socket": {"type": "path", "required": True},
            "daemon_json": {"type": "path", "default": "/etc/docker/daemon.json"},
            "data_roots": {"type": "list", "elements": "path", "default": []},
            "runtime": {"type": "path", "default": "/usr/bin/sysbox-runc"},
            "gate_program": {"type": "str", "default": ""},
            "explanation": {"type": "str", "default": ""},
            "report": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "source": {"type": "str", "default": ""},
            "sha256": {"type": "dict", "default": {}},
            "architecture": {"type": "str", "default": ""},
            "allow_removal": {"type": "list", "elements": "str", "default": []},
            "downgrade": {"type": "bool", "default": False},
            "restart_containers": {"type": "bool", "default": False},
            "program": {"type": "str", "default": ""},
            "engine_ready": {"type": "bool", "default": True},
            "advisories": {"type": "list", "elements": "dict", "default": []},
            "known": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with reporting(module, "run `df -h / /var /run`, make room or mend the mount, then try again"):
        module.exit_json(changed=False, **gather(module))


if __name__ == "__main__":
    main()
