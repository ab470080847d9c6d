#!/usr/bin/python
"""Look at one docker context of a user."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai_context_plan import ERRORS, Plan, fail_with, finding, refuse_unfit

DOCUMENTATION = r"""
module: docker_context_info
short_description: Find out whether a docker context of a user is what it should be
description:
  - Refuses what M(docker_context) would refuse, says whether that module is needed, and returns a finding for a health report. Changes nothing.
options:
  name: {type: str, required: true, description: The context.}
  endpoint: {type: str, required: true, description: "Where it should point, such as C(unix:///var/run/docker-containai.sock)."}
  description: {type: str, default: '', description: What C(docker context ls) should show.}
  user: {type: str, default: '', description: Whose context. Empty means the connecting user.}
  config_dir: {type: str, default: '', description: "The user's docker settings. Empty means C(~/.docker)."}
  program: {type: str, default: '', description: Path of the docker CLI. Empty means the one in the system's folders.}
  state_dir: {type: path, default: '', description: "Folder of the record. Empty means C(/var/lib/containai), which is root's."}
  health: {type: bool, default: false, description: "Return a finding, and refuse no damaged context that is the active one."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- docker_context_info:
    name: containai-secure
    endpoint: unix:///var/run/docker-containai.sock
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with I(health), description: parts of a health report, sample: [{part: docker context, status: fail, found: it points elsewhere, hint: run `cai setup`}]}
needed: {type: bool, returned: without I(health), description: whether M(docker_context) would change the context or the record, sample: false}
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "description": {"type": "str", "default": ""},
            "user": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "program": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": ""},
            "health": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        refuse_unfit(params)
        plan = Plan(params)
        if params["health"]:
            module.exit_json(changed=False, findings=[finding(plan.name, plan.there, plan.step)])
        plan.check_replaceable()
        module.exit_json(changed=False, needed=plan.needed(params))
    except ERRORS as error:
        fail_with(module, error)


if __name__ == "__main__":
    main()
