"""The guard: what runs in an engine, asked before a step that ends containers.

Slow is not dead and unknown is not empty. An engine that is there and does not answer within LIMIT seconds raises Unknown: it is neither restarted nor
taken for empty. An engine whose socket is gone is known by its containers' shims, which are processes of their own.
"""

from __future__ import annotations

import glob
import os

from ansible.module_utils.containai.engine_api import NoAnswer, answer
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.systemd import unit_state

LIMIT = 20
RESTART = "`cai setup -e docker_engine_restart_containers=true`"
CONTAINERD = "/run/docker-containai/containerd/containerd.sock"
DOCKER_SOCKET = "/run/docker.sock"


class Unknown(Failure):
    """The engine did not say what runs in it. Neither "nothing runs" nor "it is dead"."""

    def __init__(self, path, seconds=None):
        super().__init__(
            f"The engine at {path} is there and does not answer within {LIMIT if seconds is None else seconds} seconds."
            " What runs in it is unknown, so it was neither stopped nor restarted.",
            "wait until the engine answers (`journalctl -u containai-docker -u docker` shows what it does), then try again",
        )


def running(path, ours=True, seconds=None):
    """Return the running containers of the engine at a socket as [{"id", "name"}]; an empty list if there is no engine.

    With `ours`, containers of the secure engine are found even while nobody listens on its socket. Raises Unknown, and PermissionError for a user who may
    not ask.
    """
    items = _answer(path, "/containers/json", seconds)
    if items is None:
        return shims() if ours else []
    return [{"id": item["Id"], "name": (item.get("Names") or [item["Id"][:12]])[0].lstrip("/")} for item in items]


def running_under(path, runtime, ours=False, seconds=None):
    """Return the names of the running containers that use a runtime; raises as `running` does."""
    if ours and _answer(path, "/containers/json", seconds) is None:
        return [container["name"] for container in shims()]  # a shim does not tell the runtime, so each counts
    found = running(path, False, seconds)
    names = {container["id"]: container["name"] for container in found}
    details = [_answer(path, f"/containers/{identity}/json", seconds) or {} for identity in names]  # {}: it ended meanwhile
    return [names[detail["Id"]] for detail in details if detail.get("HostConfig", {}).get("Runtime") == runtime]


def info(path, seconds=None):
    """Return the engine's /info; None if nobody listens. Raises Unknown and PermissionError."""
    return _answer(path, "/info", seconds)


def asleep(path):
    """Whether systemd alone listens there: a question would start the engine."""
    if os.path.realpath(path) != DOCKER_SOCKET:
        return False
    listens, runs = (unit_state(unit).get("ActiveState") for unit in ("docker.socket", "docker.service"))
    return listens == "active" and runs in ("inactive", "failed")


def shims(proc="/proc"):
    """Return the containers of the secure engine that have a shim: they run, whatever their engine does."""
    found = []
    for path in glob.glob(os.path.join(proc, "[0-9]*", "cmdline")):
        try:
            with open(path, "rb") as handle:
                words = handle.read().decode("utf-8", "replace").split("\0")
        except OSError:  # it has ended
            continue
        if "containerd-shim" in words[0] and CONTAINERD in words and "-id" in words[:-1]:
            identity = words[words.index("-id") + 1]
            found.append({"id": identity, "name": identity[:12], "shim": True})
    return found


def refusal(names, what, way):
    """Return the arguments of a module's fail_json: running containers stop a step. `what` would end them, `way` is the command that goes on."""
    return {
        "msg": f"Containers run in the engine: {', '.join(names)}. {what} would end them.",
        "hint": f"stop them with `docker --context containai-secure stop {' '.join(names)}`, or go on with {way}",
        "failure": "precondition",
        "containers": names,
    }


def _answer(path, question, seconds):
    limit = LIMIT if seconds is None else seconds
    try:
        return None if asleep(path) else answer(path, question, limit)
    except NoAnswer as error:
        raise Unknown(path, limit) from error
