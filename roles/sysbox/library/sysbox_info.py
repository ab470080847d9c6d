#!/usr/bin/python
"""Look at Sysbox: the package, its services, its runtime, and whether a container is isolated."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import reporting
from ansible.module_utils.containai_sysbox_health import look

DOCUMENTATION = r"""
module: sysbox_info
short_description: Return a health report of Sysbox
description:
  - The package and its version, its services, the runtime in daemon.json, AppArmor's rules for it, dead mounts, containers that it no longer serves, data saved from a killed one,
    running containers that are not under it, known weaknesses, and what a container under it sees of itself (see M(sysbox_isolation)).
  - A container is run only where the engine and Sysbox can be used, and never in check mode. Nothing else is changed.
options:
  version: {type: str, required: true, description: The version that is needed.}
  socket: {type: path, required: true, description: The engine's API socket.}
  engine_ready: {type: bool, default: true, description: Whether the engine can be used.}
  daemon_json: {type: path, required: true, description: The daemon.json of the engine.}
  data_root: {type: path, required: true, description: The engine's data folder.}
  runtime: {type: path, default: /usr/bin/sysbox-runc, description: The runtime's program.}
  advisories: {type: list, elements: dict, default: [], description: "Weaknesses of Sysbox: C(version) (the newest that has it), C(fixed_in), C(what), C(source)."}
  known: {type: list, elements: str, default: [], description: Versions of Sysbox whose checksums the role knows.}
attributes:
  check_mode: {support: full, description: in check mode no container is run}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- sysbox_info:
    version: 0.7.1
    socket: /var/run/docker-containai.sock
    daemon_json: /etc/docker/daemon.json
    data_root: /var/lib/docker-containai
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: always, description: parts of a health report, sample: [{part: Sysbox, status: pass, found: Sysbox 0.7.1, hint: ""}]}
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "socket": {"type": "path", "required": True},
            "engine_ready": {"type": "bool", "default": True},
            "daemon_json": {"type": "path", "required": True},
            "data_root": {"type": "path", "required": True},
            "runtime": {"type": "path", "default": "/usr/bin/sysbox-runc"},
            "advisories": {"type": "list", "elements": "dict", "default": []},
            "known": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with reporting(module, "run `df -h / /var /run`, make room or mend the mount, then try again"):
        module.exit_json(changed=False, findings=look(module.params, module.check_mode))


if __name__ == "__main__":
    main()
