#!/usr/bin/python
"""Create, correct or remove one docker context of a user, and touch no other."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai_context_plan import ERRORS, Plan, fail_with, record_of, refuse_unfit, wanted_state
from ansible.module_utils.containai_context_record import give_back, note
from ansible.module_utils.containai_contexts import show

DOCUMENTATION = r"""
module: docker_context
short_description: Make one docker context of a user what it should be
description:
  - Reads the context where the docker CLI keeps it, and has the CLI create, update or remove it. C(DOCKER_HOST), C(DOCKER_CONTEXT) and the like are out of reach.
  - Notes in the record what was there before. With I(state=absent) every context of the record is given back, whatever its name and user - removed, or as it
    was before. One that somebody edited since is left, and said so.
  - Never makes a context the active one, never touches another one, and refuses the names C(default) and C(desktop-linux).
options:
  name: {type: str, description: "The context. Needed with I(state=present)."}
  endpoint: {type: str, description: "Where it points, such as C(unix:///var/run/docker-containai.sock). Needed with I(state=present)."}
  description: {type: str, default: '', description: Shown by C(docker context ls).}
  user: {type: str, default: '', description: Whose context. Empty means the connecting user. The CLI runs as that user.}
  config_dir: {type: str, default: '', description: "The user's docker settings. Empty means C(~/.docker)."}
  program: {type: str, default: '', description: Path of the docker CLI. Empty means the one in the system's folders.}
  state: {type: str, choices: [present, absent], default: present, description: "Whether it shall be there. C(absent) goes by the record, and reads no other option but I(program)."}
  state_dir: {type: path, default: '', description: "Folder of the record. Empty means C(/var/lib/containai), which is root's."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- docker_context:
    name: containai-secure
    endpoint: unix:///var/run/docker-containai.sock
- docker_context:
    state: absent
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: docker context containai-secure}]}
notes: {type: list, elements: str, returned: with I(state=absent), description: what was left and why}
"""


def carry_out(contexts, step, params):
    name, wanted = params["name"], wanted_state(params)
    try:
        write(contexts, step, params)
    except Failure:
        now = contexts.read(name)
        if now == wanted:  # another run was quicker
            return
        if not now:  # a CLI that does not write in one step (20.10) leaves a damaged one, and then lists no context at all
            contexts.erase(name)
            contexts.tidy()
        raise
    if contexts.read(name) != wanted:
        raise Failure(f"The context {name} is not as it was asked for, although docker reported success.", f"run `docker context inspect {name}`")


def write(contexts, step, params):
    name, flags = params["name"], ["--description", params["description"], "--docker", f"host={params['endpoint']}"]
    if step == "replace":
        contexts.erase(name)
    if step in ("create", "replace"):
        contexts.docker("create", name, *flags)
    elif step == "update":
        contexts.docker("update", name, *flags)


def present(module):
    params = module.params
    plan = Plan(params)
    plan.check_replaceable()
    if not module.check_mode:
        hold(module)
        note(record_of(params), plan.contexts, plan.name, plan.there, plan.wanted)
        if plan.step:
            carry_out(plan.contexts, plan.step, params)
    header = f"docker context {plan.name}"
    if not plan.step:
        return {"changed": False, "actions": [], "diff": []}
    verb = "create" if plan.step == "create" else "change"
    diff = [{"before_header": header, "after_header": header, "before": show(plan.there), "after": show(plan.wanted)}]
    return {"changed": True, "actions": [{"verb": verb, "what": header}], "diff": diff}


def absent(module):
    hold(module)
    actions, diff, notes = give_back(record_of(module.params), module.params["program"], module.check_mode)
    return {"changed": bool(actions), "actions": actions, "diff": diff, "notes": notes}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "endpoint": {"type": "str"},
            "description": {"type": "str", "default": ""},
            "user": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "program": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "state_dir": {"type": "path", "default": ""},
        },
        required_if=[("state", "present", ["name", "endpoint"])],
        supports_check_mode=True,
    )
    params = module.params
    try:
        refuse_unfit(params)
        module.exit_json(**(present if params["state"] == "present" else absent)(module))
    except ERRORS as error:
        fail_with(module, error)


if __name__ == "__main__":
    main()
