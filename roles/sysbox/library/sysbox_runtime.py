#!/usr/bin/python
"""Add the Sysbox runtime to a daemon.json, and change no other byte of it."""

from __future__ import annotations

import os
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.daemon_json import DaemonJsonError, parse, with_runtime, without_runtime
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.process import run, which
from ansible.module_utils.containai.record import Record, digest, read, replace, sha256
from ansible.module_utils.containai_sysbox_entry import NAME

DOCUMENTATION = r"""
module: sysbox_runtime
short_description: Make runtimes.sysbox-runc of a daemon.json what it should be
description:
  - Adds or corrects that one entry. Every other byte stays, key order, indentation and line ends included, as do the file's mode, its owner and a symbolic link.
  - Refuses, and leaves alone, a file that is not strict JSON holding one object (comments, trailing commas, a byte order mark, a key given twice).
  - Never sets or removes C(default-runtime).
  - The new file is checked by C(dockerd --validate), where the dockerd has it, before it replaces the old one in one step. One backup per change.
options:
  path: {type: path, required: true, description: The daemon.json.}
  runtime: {type: path, default: /usr/bin/sysbox-runc, description: The runtime's program.}
  state: {type: str, choices: [present, absent], default: present, description: Whether the entry shall be there.}
  unit: {type: str, default: '', description: "Unit of the engine, such as C(docker.service). Where it runs and the file changed, it is reloaded. Empty means none."}
  socket: {type: path, default: '', description: "API socket of the engine. It is asked until it knows the runtime, 10 seconds at most. Empty means not."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- sysbox_runtime:
    path: /etc/docker/daemon.json
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: change, what: "/etc/docker/daemon.json: runtimes.sysbox-runc"}]}
"""


RELOAD_SECONDS = 10


def validate(data):
    """Return dockerd's objection to `data`, or an empty string; also where there is no dockerd with --validate (older than 23.0)."""
    dockerd = which("dockerd")
    if not dockerd:
        return ""
    with tempfile.NamedTemporaryFile(prefix="containai-", suffix=".json") as trial:
        trial.write(data)
        trial.flush()
        result = run([dockerd, "--validate", "--config-file", trial.name], timeout=60)
    if result.returncode == 0 or "unknown flag: --validate" in result.stderr:
        return ""
    said = result.stderr.strip().splitlines() or [f"dockerd ended with {result.returncode} and said nothing"]
    return said[-1].replace(trial.name, "daemon.json")


def earlier_path(data):
    """The program that an entry of this name points to now, if any."""
    runtimes = parse(data)[1].get("runtimes")
    entry = runtimes.get(NAME) if isinstance(runtimes, dict) else None
    return entry.get("path") if isinstance(entry, dict) else None


def wanted_bytes(module, before):
    params = module.params
    if params["state"] == "absent":
        return bytes_before_setup(params["path"], before)
    after = with_runtime(before or b"", NAME, {"path": params["runtime"]})
    previous = earlier_path(before or b"")
    if previous and previous != params["runtime"]:
        module.warn(f"{params['path']} named {previous} as {NAME}; it is now {params['runtime']}.")
    if parse(after)[1].get("default-runtime") == NAME:
        module.warn(f"{params['path']} makes {NAME} the default runtime. That was not cai and is left as it is; `default-runtime` is better taken out.")
    return after


def bytes_before_setup(path, now):
    """What to go back to: the very bytes from before setup where nobody edited the file since, else the edited file without our entry."""
    entry = Record().data.get("files", {}).get(path)
    if now is None or entry is None:
        return now
    before = read(entry["backup"]) if entry["backup"] else None
    if not entry.get("edited") and sha256(now) == entry.get("after") and digest(before) == entry["before"]:
        return before
    return without_runtime(now, NAME)


def foreseen(path, state):
    """The verb of what root will do to a file that this user may not read, as far as the record tells; None for nothing."""
    entry = Record().data.get("files", {}).get(path)
    if state == "present":
        return None if entry else "change"
    if entry is None:
        return None
    return "remove" if entry["before"] is None else "change"


def refuse(module, message):
    path = module.params["path"]
    module.fail_json(
        msg=f"{path} cannot be used: {message}.",
        hint=f"mend it (`sudo dockerd --validate --config-file {path}` shows what dockerd thinks), or use another: "
        "`cai setup -e sysbox_daemon_json=/etc/containai/daemon.json`",
        failure="precondition",
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "runtime": {"type": "path", "default": "/usr/bin/sysbox-runc"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "unit": {"type": "str", "default": ""},
            "socket": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    hold(module)
    path = module.params["path"]
    try:
        before = read(path)
        after = wanted_bytes(module, before)
    except DaemonJsonError as error:
        refuse(module, str(error))
    except PermissionError:
        what = "add the runtime where it is missing" if module.params["state"] == "present" else "take the runtime out"
        module.warn(f"{path} cannot be read without root rights; the run itself will {what}.")
        verb = foreseen(path, module.params["state"])
        module.exit_json(changed=bool(verb), actions=[{"verb": verb, "what": f"{path}: runtimes.{NAME}"}] if verb else [])
    except OSError as error:
        at_fault = error.filename or path
        if at_fault != path:  # the record, which is damaged: not the user's file
            module.fail_json(
                msg=f"{at_fault} cannot be used: {error.strerror}.", hint=f"run `sudo mv {at_fault} {at_fault}.damaged`, then try again", failure="precondition"
            )
        refuse(module, error.strerror)
    if before == after:
        module.exit_json(changed=False, actions=[])
    if not module.check_mode:
        objection = validate(after) if after else ""
        if objection:
            refuse(module, objection)
        write(module, path, before, after)
    verb = "create" if before is None else "change"
    verb = "remove" if after is None else verb
    diff = {"before_header": path, "after_header": path, "before": (before or b"").decode(), "after": (after or b"").decode()}
    actions = [{"verb": verb, "what": f"{path}: runtimes.{NAME}"}]
    if module.params["state"] == "present":
        actions += reload(module)
    module.exit_json(changed=True, diff=[diff], actions=actions)


def reload(module):
    """Have a running engine read the file again, which ends no container, and wait until it knows the runtime. Return the actions."""
    unit, socket = module.params["unit"], module.params["socket"]
    if not unit or run(["systemctl", "is-active", "--quiet", unit]).returncode != 0:
        return []
    actions = [{"verb": "reload", "what": unit}]
    if module.check_mode:
        return actions
    done = run(["systemctl", "reload", unit])
    if done.returncode != 0:
        module.fail_json(
            msg=f"{unit} did not reload: {done.stderr.strip() or done.returncode}",
            hint=f"run `systemctl status {unit}`",
            failure="failed",
        )
    end = time.monotonic() + RELOAD_SECONDS
    while socket and NAME not in (ask(socket, "/info") or {}).get("Runtimes", {}) and time.monotonic() < end:
        time.sleep(0.1)
    return actions


def write(module, path, before, after):
    try:
        if module.params["state"] == "present":  # a removal is not recorded: a later edit must still be told from what setup wrote
            record = Record()
            record.note_file(path, before, after)
            record.save()
        if after is None:
            os.unlink(path)
        else:
            replace(path, after)
    except OSError as error:
        module.fail_json(
            msg=f"{path} cannot be written: {error.strerror}. It is as it was.",
            hint=f"run `df -h {os.path.dirname(path)}`, make room or mend the mount, then try again",
            failure="failed",
        )


if __name__ == "__main__":
    main()
