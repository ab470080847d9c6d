#!/usr/bin/python
"""Start the Sysbox containers again that setup stopped, and see that they run isolated."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai_sysbox_containers import fault, start, stopped

DOCUMENTATION = r"""
module: sysbox_containers
short_description: Start the containers again that M(sysbox_package) stopped
description:
  - Which those are is in the record, so that a run which was killed in between is made good by the next one. No other container is started.
  - Each must run afterwards, in a user namespace of its own and with a file system of sysbox-fs; one that had nothing left to do may have ended with exit code 0.
options: {}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: no file is changed}
"""
EXAMPLES = r"""
- sysbox_containers:
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: start, what: container agent-one}]}
"""

STEADY_SECONDS = 1.0


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    hold(module)
    ended = stopped()
    actions = [{"verb": "start", "what": f"container {one['name']}"} for one in ended]
    if not ended or module.check_mode:
        module.exit_json(changed=bool(actions), actions=actions)
    objections = {one["id"]: one["objection"] for one in start()}
    time.sleep(STEADY_SECONDS)  # one that ends at once has ended by now
    faults = {one["name"]: objections.get(one["id"]) or fault(one) for one in ended}
    wrong = {name: text for name, text in faults.items() if text}
    if wrong:
        module.fail_json(
            msg=f"Containers that setup had stopped do not run as before: {'; '.join(f'{name}: {text}' for name, text in wrong.items())}",
            hint=f"run `docker --host unix://{ended[0]['socket']} logs {next(iter(wrong))}` to see why; their files are as they were",
            failure="failed",
            actions=actions,
        )
    module.exit_json(changed=True, actions=actions)


if __name__ == "__main__":
    main()
