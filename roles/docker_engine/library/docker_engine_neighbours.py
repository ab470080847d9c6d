#!/usr/bin/python
"""See that Docker Desktop and every other engine of a host stay as they were."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai_other_engine import OtherEngine
from ansible.module_utils.containai_record import Record

DOCUMENTATION = r"""
module: docker_engine_neighbours
short_description: Take a snapshot of everything Docker on a host that is not ours, and compare
description:
  - Called before the first change without I(before), it returns a snapshot; called at the end with it, it fails and names every difference.
  - Seen are the docker contexts except ours, the active one, C(~/.docker/config.json) and C(daemon.json), C(/var/run/docker.sock) (owner, mode, which engine
    answers), C(/usr/bin/docker), the C(docker.service) and C(docker.socket) of the host, and the running containers with their published ports (whether they answer, and whether a NAT rule forwards them).
  - Changes nothing, and asks the other engine for nothing but its version and its list of containers.
options:
  user: {type: str, default: '', description: Whose docker settings are looked at. Empty means the connecting user.}
  config_dir: {type: str, default: '', description: "That user's docker settings (DOCKER_CONFIG). Empty means C(~/.docker)."}
  ours: {type: str, default: containai-secure, description: The context that may change. So may those of the record.}
  state_dir: {type: path, default: '', description: "Folder of the record. Empty means C(/var/lib/containai)."}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
  before: {type: dict, description: The snapshot to compare with.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- docker_engine_neighbours:
  register: __docker_engine_neighbours
- docker_engine_neighbours:
    before: "{{ __docker_engine_neighbours.snapshot }}"
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: other engines, status: pass, found: the active docker context is default, hint: ""}]}
snapshot: {type: dict, returned: success, description: flat, a value per observed thing, sample: {"the active docker context": "desktop-linux"}}
"""

SOCKET = "/var/run/docker.sock"
DOCKER = "/usr/bin/docker"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def content(path):
    """A file as it stands: where a link points, mode, owner, and a hash of the bytes; None where there is nothing."""
    try:
        link = os.readlink(path) if os.path.islink(path) else None
        there = os.lstat(path) if link else os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"unreadable ({error.strerror})"
    try:
        with open(path, "rb") as handle:
            digest = hashlib.sha256(handle.read()).hexdigest()[:16]
    except OSError as error:
        digest = error.strerror
    return f"{'-> ' + link + ' ' if link else ''}mode {there.st_mode & 0o7777:04o}, owner {there.st_uid}:{there.st_gid}, sha256 {digest}"


def unowned(path):
    """A file that no package brought, as Docker Desktop's link. One of a package comes and goes with it."""
    if (
        shutil.which("dpkg-query", path=PATH)
        and subprocess.run(["dpkg-query", "--search", path], capture_output=True, env={"PATH": PATH}, stdin=subprocess.DEVNULL, check=False).returncode == 0
        and not os.path.islink(path)
    ):
        return None
    return content(path)


def active_context(folder):
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as handle:
            return json.load(handle).get("currentContext", "default")
    except (OSError, ValueError, AttributeError):
        return "default"


def recorded(state_dir):
    """The names of the contexts that setup made, or will give back. A record that cannot be read is another module's to refuse."""
    try:
        record = Record(state_dir) if state_dir else Record()
    except OSError:
        return set()
    return {entry["name"] for entry in record.data.get("contexts", [])}


def contexts(settings, ours):
    """Every context but ours, {name: content}; a context's folder is named by the SHA-256 of its name."""
    found = {}
    mine = {hashlib.sha256(name.encode()).hexdigest() for name in ours}
    for part in ("meta", "tls"):
        folder = os.path.join(settings, "contexts", part)
        if not os.access(folder, os.R_OK | os.X_OK):
            continue
        for name in sorted(os.listdir(folder)):
            if name in mine:
                continue
            for base, _, files in os.walk(os.path.join(folder, name)):
                for file in sorted(files):
                    path = os.path.join(base, file)
                    found[path] = content(path)
    return found


def take(folder, ours):
    engine = OtherEngine(SOCKET, PATH)
    snapshot = {
        "the active docker context": active_context(folder),
        "~/.docker/config.json": content(os.path.join(folder, "config.json")),
        "~/.docker/daemon.json": content(os.path.join(folder, "daemon.json")),
        f"the file {DOCKER}": unowned(DOCKER),
        **engine.units,
        "the engine at /var/run/docker.sock": engine.identity(),
        "the owner of /var/run/docker.sock": engine.owner(),
    }
    snapshot.update({f"the docker context file {path}": value for path, value in contexts(folder, ours).items()})
    return {"things": snapshot, "containers": engine.containers(), "ours": sorted(ours)}


def differences(before, after):
    """Return (differences that a run must not make, things that ended by themselves meanwhile)."""
    old, new = before["things"], after["things"]
    found = [f"{name}: {old.get(name)} before, {new.get(name)} now" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    gone = []
    for identity, item in before["containers"].items():
        now = after["containers"].get(identity)
        if now is None and not found:
            gone.append(f"the container {item['name']} ended during the run; its engine was not touched")
        elif now is None or now["value"] != item["value"]:
            found.append(f"the container {item['name']}: {item['value']} before, {now['value'] if now else 'not running'} now")
    return found, gone


def report(snapshot):
    """Return a finding: which engine and context the user has beside ours."""
    things = snapshot["things"]
    active, engine = things["the active docker context"], things["the engine at /var/run/docker.sock"]
    found = f"the active docker context is {active}; {'another engine answers' if engine else 'no other engine answers'} on {SOCKET}"
    if active in snapshot["ours"]:
        return {"part": "other engines", "status": "warn", "found": found, "hint": "run `docker context use default` if that was not meant"}
    return {"part": "other engines", "status": "pass", "found": found, "hint": ""}


def main():
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "ours": {"type": "str", "default": "containai-secure"},
            "state_dir": {"type": "path", "default": ""},
            "before": {"type": "dict"},
            "report": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    name = module.params["user"] or os.environ.get("SUDO_USER", "")
    try:
        entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
    except (KeyError, ValueError):  # ValueError: a NUL in it
        module.fail_json(
            msg=f"There is no user {name or os.getuid()!r} on this host.",
            hint="name an existing one with `-e docker_context_user=NAME`",
            failure="precondition",
        )
    home = entry.pw_dir if name else os.environ.get("HOME", entry.pw_dir)
    # At the end the record may be gone, or hold one more.
    ours = {module.params["ours"], *recorded(module.params["state_dir"]), *(module.params["before"] or {}).get("ours", [])}
    snapshot = take(module.params["config_dir"] or os.path.join(home, ".docker"), ours)
    if module.params["report"]:
        module.exit_json(changed=False, findings=[report(snapshot)])
    if module.params["before"]:
        found, gone = differences(module.params["before"], snapshot)
        for line in gone:
            module.warn(line)
        if found:
            module.fail_json(
                msg="Something that is not ours changed during this run, and it should not have:\n" + "\n".join(f"  {line}" for line in found),
                hint="if it was not you, run `cai doctor` and report it", failure="failed", differences=found,
            )  # fmt: skip
    module.exit_json(changed=False, snapshot=snapshot)


if __name__ == "__main__":
    main()
