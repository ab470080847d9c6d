"""Everything Docker on a host that is not the secure engine's: a snapshot of it, and what differs from an earlier one."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import time

from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import run, which
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_comparison import Comparison
from ansible.module_utils.containai_firewall import rules, zones
from ansible.module_utils.containai_links import links, own_addresses, routes
from ansible.module_utils.containai_other_engine import OtherEngine
from ansible.module_utils.containai_package_list import packages, removed_by_others, upgraded_by_cai

SOCKET = "/var/run/docker.sock"
FORWARDING = "/run/containai-forwarding"  # there while setup has turned forwarding on, and closed FORWARD with it
ATTEMPTS = 4
PAUSE = 1.0
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


def snapshot(folder, ours, state_dir):
    """Return everything of the other engines that a run must leave as it is."""
    engine = OtherEngine(SOCKET)
    things = {
        "the active docker context": active_context(folder),
        "~/.docker/config.json": content(os.path.join(folder, "config.json")),
        "~/.docker/daemon.json": content(os.path.join(folder, "daemon.json")),
        f"the file {DOCKER}": unowned(DOCKER),
    }
    things.update({f"the docker context file {path}": value for path, value in contexts(folder, ours).items()})
    taken = {
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
    taken["engine"]["answers"] = "unknown" if engine.unknown else taken["engine"]["answers"]
    return taken


def compared(before, again, state_dir):
    """Compare until nothing is found, or what is found has lasted: a container that ends takes its ports and rules away one by one."""
    gone = brought(state_dir)
    before = {**before, "packages": {name: version for name, version in before["packages"].items() if name not in gone}}
    since = before["taken"]
    for attempt in range(ATTEMPTS):
        found = Comparison(before, again(), lambda name: removed_by_others(name, since), lambda name: upgraded_by_cai(name, since))
        if not found.faults or attempt == ATTEMPTS - 1:
            break
        time.sleep(PAUSE)
    return found


def finding_of(folder, ours):
    """Return the finding about which engine and context the user has beside ours."""
    asked = OtherEngine(SOCKET)
    active, answers = active_context(folder), asked.engine()["answers"]
    answers = "unknown" if asked.unknown else answers
    engine = {"yes": "another engine answers", "no": "no other engine answers", "unknown": "another engine does not answer in time"}[answers]
    found = f"the active docker context is {active}; {engine} on {SOCKET}"
    if active in ours:
        return {"part": "other engines", "status": "warn", "found": found, "hint": "run `docker context use default` if that was not meant"}
    return {"part": "other engines", "status": "unknown" if answers == "unknown" else "pass", "found": found, "hint": ""}


def settings_of(params, before=None):
    """Return (folder of the user's docker settings, names of the contexts that may change, folder of the record)."""
    name = params["user"] or os.environ.get("SUDO_USER", "")
    try:
        entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
    except (KeyError, ValueError) as error:  # ValueError: a NUL in it
        raise Failure(
            f"There is no user {name or os.getuid()!r} on this host.", "name an existing one with `-e docker_context_user=NAME`", "precondition"
        ) from error
    home = entry.pw_dir if name else os.environ.get("HOME", entry.pw_dir)
    # At the end the record may be gone, or hold one more.
    ours = {params["context"], *recorded(params["state_dir"]), *(before or {}).get("ours", [])}
    return params["config_dir"] or os.path.join(home, ".docker"), ours, params["state_dir"]
