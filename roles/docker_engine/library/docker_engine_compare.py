#!/usr/bin/python
"""Compare Docker Desktop and every other engine of a host with a snapshot of them."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_other_engines import compared, settings_of, snapshot

DOCUMENTATION = r"""
module: docker_engine_compare
short_description: Compare everything Docker on a host that is not the secure engine's with an earlier snapshot
description:
  - Fails and names every difference that the run could have caused. What others did by themselves meanwhile (containers that ended or started, packages that
    were upgraded) is returned as C(notes).
  - Changes nothing and connects to no port. M(docker_engine_info) takes the snapshot and says what is in it.
options:
  before: {type: dict, required: true, description: "The C(snapshot) of M(docker_engine_info)."}
  config_dir: {type: str, default: '', description: "That user's docker settings (DOCKER_CONFIG). Empty means C(~/.docker)."}
  context: {type: str, default: containai-secure, description: The docker context that may change. So may those of the record.}
  user: {type: str, default: '', description: Whose docker settings are looked at. Empty means the connecting user.}
  state_dir: {type: path, default: '', description: "Folder of the record. Empty means C(/var/lib/containai)."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
# After `docker_engine_info` with `gather_subset: [others]`, registered as `seen`.
- docker_engine_compare:
    before: "{{ seen.snapshot }}"
"""
RETURN = r"""
notes: {type: list, elements: str, returned: success, description: what others did meanwhile, sample: ["Changed by others meanwhile: started during the run: the container web"]}
"""

NOTES = 10


def main():
    module = AnsibleModule(
        argument_spec={
            "before": {"type": "dict", "required": True},
            "user": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "context": {"type": "str", "default": "containai-secure"},
            "state_dir": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    before = module.params["before"]
    try:
        folder, contexts, state_dir = settings_of(module.params, before)
    except Failure as failure:
        module.fail_json(**failure.told)
    found = compared(before, lambda: snapshot(folder, contexts, state_dir), state_dir)
    if found.faults:
        module.fail_json(
            msg="Something that is not ours changed during this run, and it should not have:\n" + "\n".join(f"  {line}" for line in found.faults),
            hint="if it was not you, run `cai doctor` and report it", failure="failed", differences=found.faults, notes=found.notes,
        )  # fmt: skip
    module.exit_json(changed=False, notes=[f"Changed by others meanwhile: {line}" for line in found.notes[:NOTES]])


if __name__ == "__main__":
    main()
