#!/usr/bin/python
"""See that Docker Desktop and every other engine of a host stay as they were."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.process import run, which
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_comparison import Comparison
from ansible.module_utils.containai_firewall import rules, zones
from ansible.module_utils.containai_links import links, own_addresses, routes
from ansible.module_utils.containai_other_engine import OtherEngine
from ansible.module_utils.containai_package_list import packages, removed_by_others

DOCUMENTATION = r"""
module: docker_engine_neighbours
short_description: Take a snapshot of everything Docker on a host that is not ours, and compare
description:
  - Called before the first change without I(before), it returns a snapshot. Called at the end with it, it fails and names every difference that the run could
    have caused. What others did by themselves meanwhile (containers that ended or started, packages that were upgraded) is returned as C(notes).
  - Seen are the docker contexts except ours, the active one, C(~/.docker/config.json) and C(daemon.json), C(/var/run/docker.sock) (owner, mode, which engine
    answers), C(/usr/bin/docker), the C(docker.service) and C(docker.socket) of the host, the running containers with their published ports (whether somebody
    listens, and whether a NAT rule forwards them), the packages, firewall rules, firewalld's zones, links and routes.
  - Changes nothing and connects to no port. The other engine is asked for its version, its containers and its networks, and nothing if a question would start it.
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
snapshot: {type: dict, returned: success, description: "what was seen, by kind", sample: {things: {"the active docker context": "desktop-linux"}}}
notes: {type: list, elements: str, returned: with I(before), description: what others did meanwhile, sample: ["Changed by others meanwhile: started during the run: the container web"]}
"""

SOCKET = "/var/run/docker.sock"
FORWARDING = "/run/containai-forwarding"  # there while setup has turned forwarding on, and closed FORWARD with it
ATTEMPTS = 4
PAUSE = 1.0
NOTES = 10
DOCKER = "/usr/bin/docker"


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
    if which("dpkg-query") and run(["dpkg-query", "--search", path]).returncode == 0 and not os.path.islink(path):
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


def brought(state_dir):
    """The packages that setup brought, may be bringing, or removed with permission: they are no part of the comparison."""
    try:
        record = Record(state_dir) if state_dir else Record()
    except OSError:
        return set()
    record.count_cut_off()
    return {*record.data.get("packages", []), *record.data.get("removed", [])}


def take(folder, ours, state_dir):
    engine = OtherEngine(SOCKET)
    things = {
        "the active docker context": active_context(folder),
        "~/.docker/config.json": content(os.path.join(folder, "config.json")),
        "~/.docker/daemon.json": content(os.path.join(folder, "daemon.json")),
        f"the file {DOCKER}": unowned(DOCKER),
    }
    things.update({f"the docker context file {path}": value for path, value in contexts(folder, ours).items()})
    snapshot = {
        "things": things,
        "units": engine.units,
        "rules": rules(),  # before the containers: a rule of one that ends in between is then of an ended one
        "zones": zones(),
        "links": links(),
        "routes": routes(),
        "addresses": own_addresses(),
        "forwarding": os.path.exists(FORWARDING),
        "packages": packages(brought(state_dir)),
        "engine": engine.engine(),
        "containers": engine.containers(),
        "networks": engine.networks(),
        "ours": sorted(ours),
        "taken": time.time(),
    }
    snapshot["engine"]["answers"] = "unknown" if engine.unknown else snapshot["engine"]["answers"]
    return snapshot


def compared(before, again, state_dir):
    """Compare until nothing is found, or what is found has lasted: a container that ends takes its ports and rules away one by one."""
    gone = brought(state_dir)
    before = {**before, "packages": {name: version for name, version in before["packages"].items() if name not in gone}}
    for attempt in range(ATTEMPTS):
        snapshot = again()
        found = Comparison(before, snapshot, lambda name: removed_by_others(name, before["taken"]))
        if not found.faults or attempt == ATTEMPTS - 1:
            break
        time.sleep(PAUSE)
    return snapshot, found


def report(folder, ours):
    """Return a finding: which engine and context the user has beside ours."""
    asked = OtherEngine(SOCKET)
    active, answers = active_context(folder), asked.engine()["answers"]
    answers = "unknown" if asked.unknown else answers
    engine = {"yes": "another engine answers", "no": "no other engine answers", "unknown": "another engine does not answer in time"}[answers]
    found = f"the active docker context is {active}; {engine} on {SOCKET}"
    if active in ours:
        return {"part": "other engines", "status": "warn", "found": found, "hint": "run `docker context use default` if that was not meant"}
    return {"part": "other engines", "status": "unknown" if answers == "unknown" else "pass", "found": found, "hint": ""}


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
    folder, state_dir = module.params["config_dir"] or os.path.join(home, ".docker"), module.params["state_dir"]
    if module.params["report"]:
        module.exit_json(changed=False, findings=[report(folder, ours)])
    if not module.params["before"]:
        module.exit_json(changed=False, snapshot=take(folder, ours, state_dir))
    snapshot, found = compared(module.params["before"], lambda: take(folder, ours, state_dir), state_dir)
    if found.faults:
        module.fail_json(
            msg="Something that is not ours changed during this run, and it should not have:\n" + "\n".join(f"  {line}" for line in found.faults),
            hint="if it was not you, run `cai doctor` and report it", failure="failed", differences=found.faults, notes=found.notes,
        )  # fmt: skip
    module.exit_json(changed=False, snapshot=snapshot, notes=[f"Changed by others meanwhile: {line}" for line in found.notes[:NOTES]])


if __name__ == "__main__":
    main()
