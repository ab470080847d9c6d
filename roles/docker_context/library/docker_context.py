#!/usr/bin/python
"""Create, correct or remove one docker context of a user, and touch no other."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: docker_context
short_description: Make one docker context of a user what it should be
description:
  - Reads the context where the docker CLI keeps it, and has the CLI create, update or remove it. C(DOCKER_HOST), C(DOCKER_CONTEXT) and the like are out of reach.
  - Never makes a context the active one, never touches another one, and refuses the names C(default) and C(desktop-linux).
options:
  name: {type: str, required: true, description: The context.}
  endpoint: {type: str, description: "Where it points, such as C(unix:///var/run/docker-containai.sock). Needed with I(state=present)."}
  description: {type: str, default: '', description: Shown by C(docker context ls).}
  user: {type: str, default: '', description: Whose context. Empty means the connecting user. The CLI runs as that user.}
  config_dir: {type: str, default: '', description: "The user's docker settings. Empty means C(~/.docker)."}
  preflight: {type: bool, default: false, description: "Refuse what the run would refuse, and do nothing else."}
  program: {type: str, default: '', description: Path of the docker CLI. Empty means the one in the system's folders.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
  state: {type: str, choices: [present, absent], default: present, description: Whether it shall be there.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- docker_context:
    name: containai-secure
    endpoint: unix:///var/run/docker-containai.sock
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: docker context, status: fail, found: it points elsewhere, hint: run `cai setup`}]}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: docker context containai-secure}]}
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
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"
PROGRAMS = ("docker", "docker.containai")  # the second: the package's CLI, set aside where Docker Desktop has the name


class Failure(Exception):
    def __init__(self, message, hint, failure="failed"):
        super().__init__(message)
        self.message, self.hint, self.failure = message, hint, failure


class Contexts:
    """One user's docker contexts."""

    def __init__(self, user, config_dir, program=""):
        self.program = program
        user = user or (os.environ.get("SUDO_USER", "") if os.getuid() == 0 else "")
        self.entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
        same = self.entry.pw_uid == os.getuid()
        home = os.environ.get("HOME", self.entry.pw_dir) if same else self.entry.pw_dir
        self.folder = config_dir or os.path.join(home, ".docker")
        self.identity = {} if same else {"user": self.entry.pw_uid, "group": self.entry.pw_gid, "extra_groups": []}
        self.environment = {"PATH": PATH, "HOME": home, "DOCKER_CONFIG": self.folder, "LC_ALL": "C"}

    def read(self, name):
        """Return {endpoint, description} of a context, {} where it is damaged, None where there is none."""
        path = os.path.join(self.folder, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest(), "meta.json")
        try:
            with open(path, encoding="utf-8") as handle:
                data = json.load(handle)
            endpoint = data["Endpoints"]["docker"]
            return {
                "endpoint": endpoint.get("Host", ""),
                "description": data.get("Metadata", {}).get("Description", ""),
                "tls": bool(endpoint.get("SkipTLSVerify")),
            }
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def active(self):
        try:
            with open(os.path.join(self.folder, "config.json"), encoding="utf-8") as handle:
                return json.load(handle).get("currentContext", "default")
        except (OSError, ValueError, AttributeError):
            return "default"

    def erase(self, name):
        """Remove a damaged context's own two folders as the user: `docker context rm` wants to read it first, even with --force."""
        key = hashlib.sha256(name.encode()).hexdigest()
        folders = [os.path.join(self.folder, "contexts", part, key) for part in ("meta", "tls")]
        subprocess.run(
            ["rm", "-rf", "--", *folders], capture_output=True, cwd="/", env=self.environment, stdin=subprocess.DEVNULL, check=False, **self.identity
        )

    def tidy(self):
        """Remove the folders that the CLI made for its first context, where nothing is in them."""
        for part in ("contexts/meta", "contexts/tls", "contexts", ""):
            try:
                os.rmdir(os.path.join(self.folder, part))
            except OSError:  # not empty, or not there
                continue

    def docker(self, *argv):
        program = next(filter(None, (shutil.which(name, path=PATH) for name in ([self.program] if self.program else PROGRAMS))), None)
        if program is None:
            get = "brew install docker" if os.uname().sysname == "Darwin" else "sudo apt-get install docker-cli"
            raise Failure("There is no docker CLI, which keeps the contexts.", f"run `{get}` (or start Docker Desktop), then try again")
        result = subprocess.run(
            [program, "context", *argv], capture_output=True, text=True, cwd="/", env=self.environment, stdin=subprocess.DEVNULL, check=False, **self.identity
        )
        if result.returncode != 0:
            reason = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise Failure(
                f"`docker context {argv[0]}` failed: {reason[0]}",
                f"check that {self.entry.pw_name} may write {self.folder} (`ls -ld {self.folder}`), then try again",
            )


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
            raise Failure(
                f"The variable docker_context_{key} is {ascii(params[key])[:80]}; {needed} is needed.",
                "mend it in your settings or on the command line: `cai setup -e NAME=VALUE`",
                "precondition",
            )


def refuse_reserved(name):
    if name in RESERVED:
        raise Failure(f"The context {name} belongs to Docker; a name of its own is needed.", "use `docker_context_name: containai-secure`", "precondition")


def refuse_active(contexts, step, name):
    if step in ("remove", "replace") and contexts.active() == name:
        raise Failure(
            f"The context {name} is the active one, which docker does not remove.", "run `docker context use default`, then try again", "precondition"
        )


def decide(there, wanted, state):
    """Return create, update, replace, remove or nothing."""
    if state == "absent":
        return "remove" if there is not None else None
    if there is None:
        return "create"
    if there == {}:
        return "replace"
    return None if there == wanted else "update"


def carry_out(contexts, step, name, there, params):
    flags = ["--description", params["description"], "--docker", f"host={params['endpoint']}"]
    if step in ("remove", "replace"):
        if there == {}:
            contexts.erase(name)
        else:
            contexts.docker("rm", "--force", name)
    if step in ("create", "replace"):
        try:
            contexts.docker("create", name, *flags)
        except Failure:
            if contexts.read(name) != wanted_state(params):  # else another run was quicker
                raise
    elif step == "update":
        contexts.docker("update", name, *flags)
    if step == "remove":
        contexts.tidy()
    if params["state"] == "present" and contexts.read(name) != wanted_state(params):
        raise Failure(f"The context {name} is not as it was asked for, although docker reported success.", f"run `docker context inspect {name}`")


def finding(name, there, step):
    found = {
        None: f"{name} points to {(there or {}).get('endpoint')}",
        "create": f"there is no context {name}",
        "replace": f"the context {name} is damaged",
        "update": f"{name} points to {(there or {}).get('endpoint')} or was edited otherwise",
    }[step]
    return {"part": "docker context", "status": "fail" if step else "pass", "found": found, "hint": "run `cai setup`" if step else ""}


def show(state):
    return "" if state is None else "".join(f"{key}: {value}\n" for key, value in state.items() if key != "tls") or "(damaged)\n"


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "endpoint": {"type": "str"},
            "description": {"type": "str", "default": ""},
            "user": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "preflight": {"type": "bool", "default": False},
            "program": {"type": "str", "default": ""},
            "report": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["endpoint"])],
        supports_check_mode=True,
    )
    params = module.params
    name = params["name"]
    try:
        refuse_unfit(params)
        refuse_reserved(name)
        contexts = Contexts(params["user"], params["config_dir"], params["program"])
        there, wanted = contexts.read(name), None if params["state"] == "absent" else wanted_state(params)
        step = decide(there, wanted, params["state"])
        if params["report"]:
            module.exit_json(changed=False, findings=[finding(name, there, step)])
        refuse_active(contexts, step, name)
        if params["preflight"]:
            module.exit_json(changed=False, actions=[])
        if step and not module.check_mode:
            carry_out(contexts, step, name, there, params)
    except Failure as failure:
        module.fail_json(msg=failure.message, hint=failure.hint, failure=failure.failure)
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
    header = f"docker context {name}"
    verb = {"create": "create", "remove": "remove"}.get(step or "", "change")
    diff = [{"before_header": header, "after_header": header, "before": show(there), "after": show(wanted)}] if step else []
    module.exit_json(changed=bool(step), actions=[{"verb": verb, "what": header}] if step else [], diff=diff)


if __name__ == "__main__":
    main()
