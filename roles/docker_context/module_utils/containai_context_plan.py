"""What a context should be, what is refused before it is made, and what a run has to do."""

from __future__ import annotations

import os
import re

from ansible.module_utils.containai.errors import Failure, bad_setting
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_context_record import noted
from ansible.module_utils.containai_contexts import Contexts, refuse_active

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


def record_of(params):
    return Record(params["state_dir"]) if params["state_dir"] else Record()


class Plan:
    """The user's contexts, what is there under the name, and the step that makes it what it should be (None: nothing)."""

    def __init__(self, params):
        self.name, self.wanted = params["name"], wanted_state(params)
        refuse_reserved(self.name)
        self.contexts = Contexts(params["user"], params["config_dir"], params["program"])
        self.there = self.contexts.read(self.name)
        self.step = decide(self.there, self.wanted)

    def check_replaceable(self):
        """Refuse to replace a damaged context that is the active one."""
        if self.step == "replace":
            refuse_active(self.contexts, self.name)

    def needed(self, params):
        """Whether a run would change the context or the record."""
        return bool(self.step) or not noted(record_of(params), self.contexts, self.name, self.wanted)


def finding(name, there, step):
    found = {
        None: f"{name} points to {(there or {}).get('endpoint')}",
        "create": f"there is no context {name}",
        "replace": f"the context {name} is damaged",
        "update": f"{name} points to {(there or {}).get('endpoint')} or was edited otherwise",
    }[step]
    return {"part": "docker context", "status": "fail" if step else "pass", "found": found, "hint": "run `cai setup`" if step else ""}


def fail_with(module, error):
    """End the module with what an operating system's error means for the user."""
    if isinstance(error, Failure):
        module.fail_json(**error.told)
    if isinstance(error, OSError):
        module.fail_json(
            msg=f"{error.filename} cannot be used: {error.strerror}.",
            hint=f"run `ls -ld {error.filename}`, mend what it shows, then try again",
            failure="precondition",
        )
    module.fail_json(
        msg=f"There is no user {module.params['user'] or os.getuid()!r} on this host.",
        hint="name an existing one with `-e docker_context_user=NAME`",
        failure="precondition",
    )


ERRORS = (Failure, OSError, KeyError, ValueError)  # KeyError: no such user; ValueError: a NUL in the name
