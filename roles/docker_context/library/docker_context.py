#!/usr/bin/python
"""Create, correct or remove one docker context of a user, and touch no other."""

from __future__ import annotations

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure, bad_setting
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_context_record import give_back, note, noted
from ansible.module_utils.containai_contexts import Contexts, refuse_active, show

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
  preflight: {type: bool, default: false, description: "Refuse what the run would refuse, say whether it is needed, and do nothing else."}
  program: {type: str, default: '', description: Path of the docker CLI. Empty means the one in the system's folders.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
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
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: docker context, status: fail, found: it points elsewhere, hint: run `cai setup`}]}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: docker context containai-secure}]}
needed: {type: bool, returned: with I(preflight), description: whether a run without it would change the context or the record, sample: false}
notes: {type: list, elements: str, returned: with I(state=absent), description: what was left and why}
"""

# docker's own rule for names; an endpoint is read as comma-separated keys.
FIT = {
    "name": re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]*"),
    "endpoint": re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x1f\x7f,\"]*"),
    "config_dir": re.compile(r"/[^\x00-\x1f\x7f]*"),
    "program": re.compile(r"/[^\x00-\x1f\x7f]*"),
    "description": re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]*"),
}
RESERVED = ("default", "desktop-linux")


def wanted_state(params):
    return {"endpoint": params["endpoint"], "description": params["description"], "tls": False}


def refuse_unfit(params):
    """Refuse what docker, or who reads its lists, could take for something else: an option, a second key of an endpoint, a terminal's command."""
    wanted = {
        "name": "a name as docker takes it",
        "endpoint": "an address such as unix:///path",
        "config_dir": "an absolute path",
        "program": "an absolute path",
    }
    wanted["description"] = "text without control characters"
    for key, needed in wanted.items():
        if params[key] and not FIT[key].fullmatch(params[key]):
            raise bad_setting(f"The variable docker_context_{key} is {ascii(params[key])[:80]}; {needed} is needed.")


def refuse_reserved(name):
    if name in RESERVED:
        raise Failure(f"The context {name} belongs to Docker; a name of its own is needed.", "use `docker_context_name: containai-secure`", "precondition")


def decide(there, wanted):
    """Return create, update, replace or nothing."""
    if there is None:
        return "create"
    if there == {}:
        return "replace"
    return None if there == wanted else "update"


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


def finding(name, there, step):
    found = {
        None: f"{name} points to {(there or {}).get('endpoint')}",
        "create": f"there is no context {name}",
        "replace": f"the context {name} is damaged",
        "update": f"{name} points to {(there or {}).get('endpoint')} or was edited otherwise",
    }[step]
    return {"part": "docker context", "status": "fail" if step else "pass", "found": found, "hint": "run `cai setup`" if step else ""}


def record_of(params):
    return Record(params["state_dir"]) if params["state_dir"] else Record()


def present(module):
    params = module.params
    name, wanted = params["name"], wanted_state(params)
    refuse_reserved(name)
    contexts = Contexts(params["user"], params["config_dir"], params["program"])
    there = contexts.read(name)
    step = decide(there, wanted)
    if params["report"]:
        return {"changed": False, "findings": [finding(name, there, step)]}
    if step == "replace":
        refuse_active(contexts, name)
    if params["preflight"]:
        return {"changed": False, "actions": [], "needed": bool(step) or not noted(record_of(params), contexts, name, wanted)}
    if not module.check_mode:
        hold(module)
        note(record_of(params), contexts, name, there, wanted)
        if step:
            carry_out(contexts, step, params)
    header = f"docker context {name}"
    verb = "create" if step == "create" else "change"
    diff = [{"before_header": header, "after_header": header, "before": show(there), "after": show(wanted)}] if step else []
    return {"changed": bool(step), "actions": [{"verb": verb, "what": header}] if step else [], "diff": diff}


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
            "preflight": {"type": "bool", "default": False},
            "program": {"type": "str", "default": ""},
            "report": {"type": "bool", "default": False},
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
    except Failure as failure:
        module.fail_json(**failure.told)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename} cannot be used: {error.strerror}.",
            hint=f"run `ls -ld {error.filename}`, mend what it shows, then try again",
            failure="precondition",
        )
    except (KeyError, ValueError):  # ValueError: a NUL in it
        module.fail_json(
            msg=f"There is no user {params['user'] or os.getuid()!r} on this host.",
            hint="name an existing one with `-e docker_context_user=NAME`",
            failure="precondition",
        )


if __name__ == "__main__":
    main()
