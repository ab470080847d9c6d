"""The containers that run under Sysbox: which they are, whether sysbox-fs still serves them, how they are stopped and started again."""

from __future__ import annotations

import errno
import http.client
import json
import os

from ansible.module_utils.containai.engine_api import NoAnswer, UnixConnection, answer
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import attempt
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai.running import LIMIT, Unknown
from ansible.module_utils.containai.running import running as listed

OTHER_SOCKET = "/var/run/docker.sock"
RUNTIME = "sysbox-runc"
FILES = "/var/lib/sysboxfs"  # sysbox-fs mounts a file system for each container below it, named by the container's id
MOUNTS, PROCESSES = "/proc/self/mountinfo", "/proc"
WHOLE_MAP = ["0", "0", "4294967295"]
STOPPED = "stopped_containers"  # what the record calls those that setup stopped and has yet to start
NO_ANSWER = "its engine gives no answer"
LOOK_SECONDS, STOP_SECONDS = 5, 600


def call(path, verb, what, seconds):
    """Return (status, answer as a Python value or text) of an engine's API."""
    connection = UnixConnection(path, seconds)
    try:
        connection.request(verb, what)
        said = connection.getresponse()
        data = said.read()
    finally:
        connection.close()
    try:
        return said.status, json.loads(data) if data else None
    except ValueError:
        return said.status, data.decode("utf-8", "replace").strip()


def running(path, ours=False, sure=True):
    """Return the containers that run under Sysbox in the engine on that socket.

    `ours`: it is the secure engine, whose containers are known while it is down. `sure`: no answer is a Failure, else it counts as none.
    """
    try:
        items = listed(path, ours)
        details = [{**(answer(path, f"/containers/{one['id']}/json", LIMIT) or {}), "Id": one["id"]} for one in items]
        down = [one["name"] for one in items if one.get("shim")]
    except PermissionError:  # a dry run by an ordinary user; the run itself is root's
        return []
    except (Unknown, NoAnswer) as error:
        if not sure:
            return []
        known = error if isinstance(error, Unknown) else Unknown(path)
        raise Failure(known.message, known.hint, "precondition") from error
    if down and sure:
        raise Failure(
            f"Whether containers run under Sysbox cannot be told: the secure engine is down, and these run: {', '.join(down)}.",
            "run `sudo systemctl start containai-docker`, then `cai setup` again",
            "precondition",
        )
    return [summary(path, one) for one in details if one.get("HostConfig", {}).get("Runtime") == RUNTIME]


def summary(path, detail):
    host = detail["HostConfig"]
    shares = host.get("NetworkMode", "")
    return {
        "id": detail["Id"], "name": detail.get("Name", detail["Id"][:12]).lstrip("/"), "socket": path, "removed": bool(host.get("AutoRemove")),
        "shares": shares.partition(":")[2] if shares.startswith("container:") else "", "started": detail.get("State", {}).get("StartedAt", ""),
    }  # fmt: skip


def mounted():
    """Return the paths of sysbox-fs's mounts."""
    with open(MOUNTS, encoding="utf-8", errors="replace") as handle:
        found = [line.split()[4] for line in handle]
    return [path for path in found if path.startswith(FILES + "/")]


def is_dead(path):
    """Whether the process behind a mount is gone. In a child process, because a sysbox-fs that hangs would block the caller."""
    said = attempt(["stat", "-c", "%d", path], timeout=LOOK_SECONDS)
    return said is not None and os.strerror(errno.ENOTCONN) in said.stderr


def dead_mounts():
    """Return the mounts that a sysbox-fs left which ended without taking them off."""
    return [path for path in mounted() if is_dead(path)]


def live_mounts():
    """Return the ids of the containers that sysbox-fs serves, of every engine."""
    return {os.path.basename(path) for path in mounted() if not is_dead(path)}


def lost(containers):
    """Return those that no sysbox-fs serves: docker calls them Up, and nothing can be started in them."""
    alive = live_mounts() if containers else set()
    return [one for one in containers if not alive & {one["id"], one["shares"]}]


def names(containers):
    return ", ".join(one["name"] for one in containers)


def refuse_removed(containers):
    """A container that was started with --rm is gone when it is stopped."""
    gone = [one for one in containers if one["removed"]]
    if gone:
        raise Failure(
            f"These containers were started with --rm, and stopping them would remove them: {names(gone)}.",
            f"save what you need (`docker --host unix://{gone[0]['socket']} cp {gone[0]['name']}:/path .`), stop them yourself, then `cai setup` again",
            "precondition",
        )


def stop(containers):
    """Stop them, the youngest first, noted in the record before. Where one does not stop, those that did are started again."""
    record = Record()
    noted = record.data.setdefault(STOPPED, [])
    ordered = sorted(containers, key=lambda one: one["started"])
    noted += [{key: one[key] for key in ("id", "name", "socket")} for one in ordered if one["id"] not in {note["id"] for note in noted}]
    record.save()
    for one in reversed(ordered):
        objection = ask_engine(one, "stop", STOP_SECONDS)
        if objection:
            left = start()
            raise Failure(
                f"The container {one['name']} did not stop: {objection}. Nothing was replaced."
                + (f" These were stopped before it, and do not start again: {names(left)}." if left else ""),
                f"run `docker --host unix://{one['socket']} kill {one['name']}`, then `cai setup` again",
            )


def ask_engine(one, what, seconds=60):
    """Stop or start a container; return the engine's objection, or an empty string."""
    try:
        status, said = call(one["socket"], "POST", f"/containers/{one['id']}/{what}", seconds)
    except (OSError, http.client.HTTPException) as error:
        return f"{NO_ANSWER} ({str(error) or type(error).__name__})"
    if status in (200, 204, 304, 404):  # already so, or removed meanwhile
        return ""
    return (said.get("message", "") if isinstance(said, dict) else said) or f"status {status}"


def stopped():
    """What the record knows as stopped by setup and not yet started again."""
    return Record().data.get(STOPPED, [])


def start():
    """Start again, the oldest first, what setup stopped; return those that did not start, each with its objection."""
    left = [{**one, "objection": objection} for one in stopped() if (objection := ask_engine(one, "start"))]
    record = Record()
    # An engine that objects will do so the next time too; one that gave no answer has not been asked yet.
    kept = [{key: one[key] for key in ("id", "name", "socket")} for one in left if one["objection"].startswith(NO_ANSWER)]
    record.data[STOPPED] = kept
    if not kept:
        record.data.pop(STOPPED)
    record.save()
    return left


def fault(one):
    """What is wrong with a container that was started again; an empty string for nothing."""
    try:
        detail = answer(one["socket"], f"/containers/{one['id']}/json", LIMIT) or {}
    except NoAnswer as error:
        return f"{NO_ANSWER} ({error})"
    state = detail.get("State", {})
    if not detail or (not state.get("Running") and state.get("ExitCode") == 0):
        return ""  # removed, or it had nothing left to do
    if not state.get("Running"):
        return f"it ended with exit code {state.get('ExitCode')}"
    try:
        with open(f"{PROCESSES}/{state['Pid']}/uid_map", encoding="ascii") as handle:
            isolated = handle.read().split() != WHOLE_MAP
        with open(f"{PROCESSES}/{state['Pid']}/mountinfo", encoding="utf-8", errors="replace") as handle:
            served = "sysboxfs" in handle.read()
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    return "" if isolated and served else "it runs, and is not isolated"


def rescued(data_root):
    """Return what containers' own Docker kept when a sysbox-mgr was killed: (the folder, the names in it).

    No names where none are, or for root alone to see.
    """
    folder = os.path.join(data_root, "rescued")
    try:
        return folder, sorted(os.listdir(folder))
    except OSError:
        return folder, []


def about_rescued(folder, found):
    """Return (what is there, what to do with it)."""
    shown = f"{', '.join(found[:5])}{f' and {len(found) - 5} more' if found[5:] else ''}"
    return (
        f"{folder} holds what containers' own Docker had kept when sysbox-mgr was killed: {shown}",
        f"look with `sudo ls {folder}`, copy what is needed into the stopped container with `docker cp`, then remove the rest",
    )
