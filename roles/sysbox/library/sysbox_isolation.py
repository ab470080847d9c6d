#!/usr/bin/python
"""Prove that a Sysbox container is isolated: run one, and look at it from inside."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai_sysbox_advisories import weaknesses
from ansible.module_utils.containai_sysbox_proof import prove, trial_image

DOCUMENTATION = r"""
module: sysbox_isolation
short_description: Run a container under sysbox-runc and one under runc, and compare what they see
description:
  - The Sysbox container must have a user namespace of its own (C(/proc/self/uid_map)) and a file system of sysbox-fs (C(/proc/self/mountinfo)).
    The same image under runc is the negative control. The engine's default runtime must not be sysbox-runc.
  - An installed Sysbox with a known weakness is a warning.
  - The image is made of this host's C(cat) and its libraries, so no registry is asked. Image and containers are removed again.
options:
  socket: {type: path, required: true, description: The engine's API socket.}
  advisories: {type: list, elements: dict, default: [], description: "Weaknesses of Sysbox: C(version) (the newest that has it), C(fixed_in), C(what), C(source)."}
  known: {type: list, elements: str, default: [], description: Versions of Sysbox whose checksums the role knows.}
  warn_only: {type: bool, default: false, description: Report a failure in a warning (under --force and a known seccomp conflict only).}
attributes:
  check_mode: {support: full, description: in check mode nothing is run}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- sysbox_isolation:
    socket: /var/run/docker-containai.sock
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: where I(warn_only) let a failure pass, description: a part of a health report, sample: [{part: isolation, status: fail, found: "A container under sysbox-runc did not start", hint: run `cai doctor`}]}
isolated: {type: bool, returned: always, description: whether that was shown, sample: true}
uid_map: {type: str, returned: when a container ran, description: the Sysbox container's uid_map, sample: 0 231072 65536}
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "advisories": {"type": "list", "elements": "dict", "default": []},
            "known": {"type": "list", "elements": "str", "default": []},
            "warn_only": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    hold(module)
    for weak in weaknesses(module.params["advisories"], module.params["known"]):
        module.warn(f"{weak['found']} To mend that, {weak['hint']}.")
    if module.check_mode:
        module.exit_json(changed=False, isolated=False)
    try:
        with trial_image(module.params["socket"]) as (tag, default):
            uid_map = prove(module.params["socket"], tag)
    except Failure as failure:
        if not module.params["warn_only"]:
            module.fail_json(**failure.told, isolated=False)
        module.warn(f"{failure.message} That was to be expected: this WSL has a seccomp conflict, and --force was given. Remedy: {failure.hint}")
        failed = {"part": "isolation", "status": "fail", "found": failure.message, "hint": failure.hint}
        module.exit_json(changed=False, isolated=False, findings=[failed])
    if default == "sysbox-runc":
        module.warn("The engine's default runtime is sysbox-runc, by somebody's setting in daemon.json; it was left so.")
    module.exit_json(changed=False, isolated=True, uid_map=uid_map)


if __name__ == "__main__":
    main()
