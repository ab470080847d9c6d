#!/usr/bin/python
"""Put the engine's units and programs in place, and let its user reach its socket."""

from __future__ import annotations

import grp
import json
import os
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.process import run
from ansible.module_utils.containai.record import Record, read, replace, sha256
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai.running import RESTART, Unknown, refusal, running
from ansible.module_utils.containai.systemd import unit_state
from ansible.module_utils.containai_data_root import MARKER, is_shared, mark
from ansible.module_utils.containai_engine_state import as_wanted, outdated
from ansible.module_utils.containai_secret_files import salted, token, token_of, without_salt

DOCUMENTATION = r"""
module: docker_engine_files
short_description: Write the secure engine's own files, all at once, and make its group
description:
  - Every file is replaced in one step, and only where its bytes or mode differ. What stood there before is kept in C(/var/lib/containai).
  - Files that differ from those that a running engine was started from need its restart. While containers run in it they are refused, before any is written,
    unless I(restart_containers).
  - The group is made where it is missing; the user is added to it and to no other.
options:
  files: {type: list, elements: dict, required: true, description: "Files as {path, content, mode}; mode is a string such as C('0644').
          C(@REVISION@) in a content becomes the hash of all of them, so that a running service shows which files it was started from.
          With C(live: true) it has no part in that hash: its change takes no restart.
          With C(secret: true) a line of salt is put before the content, and the hash tells of the salt, not of the content."}
  absent: {type: list, elements: path, default: [], description: Files that setup wrote earlier and that no setting asks for any more.}
  data_root: {type: path, description: "Folder for the engine's data. It gets a mark by which a purge knows it; the mark stays with the data."}
  group: {type: str, description: System group that may use the socket.}
  programs: {type: list, elements: path, default: [], description: "Programs that the files start. One that is missing is refused, but in check mode, where it is yet to come."}
  unit: {type: str, default: '', description: "The engine's unit, such as C(containai-docker.service)."}
  socket: {type: path, default: '', description: The engine's API socket.}
  runtimes: {type: dict, default: {}, description: "Runtimes that the engine must know, as C({name: {path: ...}}), to be told as C(ready)."}
  check: {type: list, elements: str, default: [], description: "Command that ends with 0 when the engine's network is whole, for C(ready)."}
  restart_containers: {type: bool, default: false, description: "Write files that need a restart of the engine although containers run in it."}
  user: {type: str, description: User to be a member of the group. Root needs no membership.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- docker_engine_files:
    files:
      - {path: /etc/systemd/system/containai-docker.service, content: "...", mode: "0644"}
    group: containai
    user: dev
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: /etc/systemd/system/containai-docker.service}]}
ready: {type: bool, returned: always, description: "whether nothing was written and the engine runs as wanted, so that nothing is to be started", sample: true}
version: {type: str, returned: always, description: "the version of an engine that is ready, else empty", sample: 29.1.3}
revision: {type: str, returned: always, description: hash of the files, sample: 1f0c2a9b7d3e-0c1d2e3f}
notes: {type: list, elements: str, returned: when the user became a member, description: what the user has to do}
"""


UNITS = "/etc/systemd/system/"


def command(module, argv):
    result = run(argv)
    if result.returncode != 0:
        module.fail_json(
            msg=f"{argv[0]} failed: {result.stderr.strip() or result.returncode}", hint=f"run `sudo {' '.join(argv)}` to see why", failure="failed"
        )


def refuse_missing(module):
    """Refuse units without what they start: a run of this part alone may meet a host on which Docker was never installed."""
    missing = [os.path.basename(path) for path in module.params["programs"] if not os.path.exists(path)]
    if missing and not module.check_mode:
        module.fail_json(
            msg=f"There is no {' and no '.join(missing)} on this host, which the engine's units start.",
            hint="run the playbook without `--tags`, or with `--tags docker_engine_install` first",
            failure="precondition",
        )


def refuse_restart(module, files, revision):
    """Refuse files for which the engine has to restart, while containers run in it: nothing is changed yet."""
    params = module.params
    state = unit_state(params["unit"]) if params["unit"] else {}
    if state.get("ActiveState") != "active" or params["restart_containers"]:
        return
    units = [file for file in files if "@REVISION@" in file["content"]]
    same = all(read(file["path"]) == file["content"].replace("@REVISION@", revision).encode() for file in units)
    if same and not outdated(state, revision):
        return
    try:
        names = [container["name"] for container in running(params["socket"])]
    except PermissionError:  # an ordinary user's plan
        module.warn(f"This user may not list the containers on {params['socket']}; the run itself restarts the engine only if none run.")
        return
    except Unknown as unknown:
        module.fail_json(**unknown.told)
    if names:
        module.fail_json(**refusal(names, "The engine's files change, and its restart", RESTART))


def shown(text):
    return without_salt(mask(text))


def salt(files):
    """Put salt to the secret files; return the files, and what their revision tells of the secrets."""
    public = [file for file in files if not file.get("secret")]
    secret, tokens = [], []
    for file in files:
        if file.get("secret"):
            text = file["content"]
            try:
                text = salted(text, read(file["path"]))
                tokens.append(token(text))
            except PermissionError:  # without root's rights: `place` says so, and what is there counts as right
                tokens += [found for found in (token_of(read(unit["path"])) for unit in public) if found][:1]
            secret.append({**file, "content": text})
    return public + secret, tokens


def drop(module, record, path, actions, diffs):
    """Remove a file that setup wrote and that no setting asks for any more."""
    if not os.path.lexists(path):
        return
    actions.append({"verb": "remove", "what": path})
    try:
        before = (read(path) or b"").decode("utf-8", "replace")
    except PermissionError:
        before = ""
    diffs.append({"before_header": path, "after_header": path, "before": shown(before), "after": ""})
    if not module.check_mode:
        os.unlink(path)
        record.data.get("files", {}).pop(path, None)
        record.save()


def is_right(there, mode):
    """Whether one of our files has its mode, and is root's: root executes it."""
    return stat.S_IMODE(there.st_mode) == mode and there.st_uid in (0, os.geteuid()) and there.st_gid in (0, os.getegid())


def place(module, record, file, content, actions, diffs):
    path, wanted, mode = file["path"], content.encode(), int(file["mode"], 8)
    try:
        there = read(path)
        same_mode = there is None or is_right(os.stat(path), mode)
    except PermissionError:
        module.warn(f"{path} cannot be read without root rights; the run itself will compare it.")
        return
    if there == wanted and same_mode:
        return
    actions.append({"verb": "create" if there is None else "change", "what": path})
    before = (there or b"").decode("utf-8", "replace")
    diffs.append({"before_header": path, "after_header": path, "before": shown(before), "after": shown(content)})
    if module.check_mode:
        return
    record.note_file(path, there, wanted)
    record.save()
    replace(path, wanted, mode, ours=True)


def claim(module, record, data_root, actions):
    """Mark the folder of the engine's data. It has no part in the revision: an engine that runs need not be restarted for it."""
    noted = data_root in record.data.get("data_roots", [])
    if not module.check_mode and not noted:
        record.note("data_roots", data_root)
        record.save()
    marker = os.path.join(data_root, MARKER)
    # One that this user may not look into is an engine's, and has the mark.
    if os.path.lexists(marker) or is_shared(data_root) or (os.path.isdir(data_root) and not os.access(data_root, os.X_OK)):
        return
    actions.append({"verb": "create", "what": marker})
    if not module.check_mode:
        mark(data_root)


def group_entry(name):
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def admit(module, record, group, user, actions):
    """Make the group and the membership; return whether the user has to log in again."""
    entry = group_entry(group)
    if entry is None:
        actions.append({"verb": "create", "what": f"group {group}"})
        if not module.check_mode:
            record.note("groups", group)
            record.save()
            command(module, ["groupadd", "--system", group])
    if not user or user == "root" or (entry and user in entry.gr_mem):
        return False
    actions.append({"verb": "change", "what": f"group {group}: add {user}"})
    if not module.check_mode:
        record.note("members", [group, user])
        record.save()
        command(module, ["usermod", "--append", "--groups", group, user])
    return True


def main():
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True},
            "absent": {"type": "list", "elements": "path", "default": []},
            "data_root": {"type": "path"},
            "group": {"type": "str"},
            "user": {"type": "str"},
            "programs": {"type": "list", "elements": "path", "default": []},
            "unit": {"type": "str", "default": ""},
            "socket": {"type": "path", "default": ""},
            "restart_containers": {"type": "bool", "default": False},
            "runtimes": {"type": "dict", "default": {}},
            "check": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    # A result repeats the arguments, and AWX keeps results.
    module.no_log_values.update(file["content"] for file in module.params["files"] if file.get("secret") and file["content"])
    hold(module)
    refuse_missing(module)
    actions, diffs, notes = [], [], []
    try:
        record = Record()
        files, tokens = salt(module.params["files"])
        public = [[file["path"], file["content"]] for file in files if not (file.get("secret") or file.get("live"))]
        revision = "-".join([sha256(json.dumps(public).encode())[:12], *tokens])
        refuse_restart(module, files, revision)
        if module.params["data_root"]:
            claim(module, record, module.params["data_root"], actions)
        for file in files:
            place(module, record, file, file["content"].replace("@REVISION@", revision), actions, diffs)
        for path in module.params["absent"]:
            drop(module, record, path, actions, diffs)
        if any(action["what"].startswith(UNITS) for action in actions) and not module.check_mode:
            command(module, ["systemctl", "daemon-reload"])
        group, user = module.params["group"], module.params["user"]
        if group and admit(module, record, group, user, actions) and not module.check_mode:
            notes.append(f"{user} is now in the group {group}: `cai` works at once; for docker itself log out and in again (or run `newgrp {group}`).")
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A file'} cannot be written: {error.strerror}.",
            hint="run `df -h / /var` and `mount | grep ' / '`, mend what they show, then try again",
            failure="failed",
        )
    params = module.params
    said = as_wanted(params, revision) if params["unit"] and params["data_root"] and not actions else None
    version = said.get("ServerVersion", "") if said else ""
    module.exit_json(changed=bool(actions), actions=actions, diff=diffs, notes=notes, revision=revision, ready=bool(said), version=version)


if __name__ == "__main__":
    main()
