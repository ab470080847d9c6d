#!/usr/bin/python
"""Bring the engine's service to the state that its files describe, with the least that does it."""

from __future__ import annotations

import grp
import os
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.engine_api import ask, stop_container
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.process import run
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai.running import RESTART, info, refusal, running, shims
from ansible.module_utils.containai.systemd import is_unread, unit_state
from ansible.module_utils.containai_data_root import begin_anew, unused, used
from ansible.module_utils.containai_engine_state import ENABLED, SOCKET_MODE, adrift, dedicated, lacks, network_problem, outdated, replaced, socket_wrong

DOCUMENTATION = r"""
module: docker_engine_service
short_description: Start, reload or restart the secure engine, whichever is the least that is needed
description:
  - A stopped or disabled service is started and enabled; one that was started from other files, or whose socket is dead, is restarted; one that lacks a runtime
    of its daemon.json is reloaded. One that starts is waited for. Nothing is done to a service that is as wanted. Success means that the engine answered on its socket.
  - An engine whose program was replaced since it started, as by an upgrade of its package, is restarted. While containers run in it, it is left as it is,
    with a warning, unless I(upgraded) or I(restart_containers).
  - A restart ends containers, so it is refused while any run in the engine, unless I(restart_containers). An engine that is active and does not answer in
    time is neither restarted nor stopped; the module fails and says so.
  - Where a first start fails, what it left in I(data_root) is removed, so that the next run starts from an empty folder; a dockerd that met a full disk leaves a
    database on which every later one dies. An engine that has answered once keeps its data, whatever happens.
  - Touches no service but the named ones.
options:
  unit: {type: str, required: true, description: "The engine's unit, such as C(containai-docker.service)."}
  helpers: {type: list, elements: str, default: [], description: Units that it needs and that are brought up to date first.}
  revision: {type: str, default: '', description: "C(CONTAINAI_REVISION) that the running service must have been started with; empty means any."}
  check: {type: list, elements: str, default: [], description: Command that must succeed for the engine's network to be whole. Its C(up) mends it.}
  socket: {type: path, required: true, description: The engine's API socket.}
  runtimes: {type: dict, default: {}, description: "Runtimes that the running engine must know, such as C({sysbox-runc: {path: /usr/bin/sysbox-runc}})."}
  state: {type: str, choices: [started, stopped], default: started, description: "C(stopped) also disables; it is refused while containers run."}
  stop_containers: {type: bool, default: false, description: "With I(state=stopped): go on although containers run, and stop them."}
  restart_containers: {type: bool, default: false, description: "With I(state=started): restart the engine although containers run in it, which ends them."}
  upgraded: {type: bool, default: false, description: "With I(state=started): this run has upgraded the engine's packages, or in check mode would do so."}
  group: {type: str, default: '', description: "Group that the socket belongs to, with mode 0660; empty means as dockerd made it."}
  data_root: {type: path, description: "Folder of the engine's data, as M(docker_engine_files) made it."}
  timeout: {type: int, default: 120, description: Seconds to wait for the engine to answer.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: no file is changed}
"""
EXAMPLES = r"""
- docker_engine_service:
    unit: containai-docker.service
    socket: /var/run/docker-containai.sock
    runtimes: {sysbox-runc: {path: /usr/bin/sysbox-runc}}
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: reload, what: containai-docker.service}]}
version: {type: str, returned: when the engine answers, description: the engine's version, sample: 28.5.2}
"""


def plan(params, state, said):
    """Return the verbs that bring the engine where it should be; `said`: its /info, or False if it could not be asked."""
    verbs = []
    if state.get("UnitFileState") not in ENABLED:
        verbs.append("enable")
    if state.get("ActiveState") != "active":
        return [*verbs, "start"]
    if outdated(state, params["revision"]) or said is None:
        return [*verbs, "restart"]
    return [*verbs, "reload"] if said and lacks(said, params["runtimes"]) else verbs


def settled(unit, seconds):
    """Return the unit's state, once a start or stop that is under way has ended: an engine that starts slowly is not dead."""
    end = time.monotonic() + seconds
    while True:
        state = unit_state(unit)
        moving = state.get("ActiveState") in ("activating", "deactivating", "reloading") and state.get("SubState") != "auto-restart"
        if not moving or time.monotonic() >= end:
            return state
        time.sleep(0.5)


def restarting(verbs):
    return [*(verb for verb in verbs if verb == "enable"), "restart"]


def takes_new_program(module, state, said):
    """Whether the engine is to be restarted for the dockerd that is installed by now. Whatever others upgrade, it ends no containers unasked."""
    params = module.params
    if params["upgraded"]:
        return True
    if not said or not replaced(params["unit"], state, said):
        return False
    names = [container["name"] for container in running(params["socket"], dedicated(params["unit"]))]
    if not names or params["restart_containers"]:
        return True
    module.warn(
        f"Docker was upgraded while the engine ran. It goes on with the old one, {said.get('ServerVersion')}, since containers run in it: "
        f"{', '.join(names)}. {RESTART} restarts it, which ends them."
    )
    return False


def guard(module):
    """Refuse to end running containers, unless that is allowed."""
    names = [container["name"] for container in running(module.params["socket"], dedicated(module.params["unit"]))]
    if names and not module.params["restart_containers"]:
        module.fail_json(**refusal(names, "A restart of the engine, which its changed files or its state need,", RESTART))


def wait(path, runtimes, seconds):
    """Wait until the engine answers and knows `runtimes`; return its /info, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = ask(path, "/info")
        if said and not lacks(said, runtimes):
            return said
        time.sleep(0.2)
    return None


def journal(*units):
    text = run(["journalctl", "--no-pager", "-o", "cat", "-n", "12", *(f"--unit={unit}" for unit in units)]).stdout
    return re.sub(r"[^\x20-\x7e\n]", "", text).strip()


def fail(module, what, hint):
    units = [module.params["unit"], *module.params["helpers"]]
    module.fail_json(msg=mask(f"{what}\n{journal(*units)}".strip()), hint=hint, failure="failed")


def act(module, verbs):
    params = module.params
    unit = params["unit"]
    if verbs:
        run(["systemctl", "daemon-reload"])
    for verb in verbs:
        units = [unit]
        if verb in ("start", "restart"):
            units = [*params["helpers"], unit]
            run(["systemctl", "reset-failed", *units])
        # A stopped engine may have helpers of older files still running: both verbs renew them.
        result = run(["systemctl", "restart" if verb == "start" else verb, *units])
        if result.returncode != 0:
            forget(params)
            fail(
                module,
                f"{unit} did not {verb}: {result.stderr.strip().splitlines()[0] if result.stderr.strip() else 'no reason given'}",
                f"run `systemctl status {unit}` and `journalctl -u {unit}`",
            )


def forget(params):
    """Remove what a failed first start left."""
    if params["data_root"] and unused(params["data_root"]):
        run(["systemctl", "stop", params["unit"], *reversed(params["helpers"])])  # systemd would start it again and again
        begin_anew(params["data_root"])


def read_units(module):
    """Have systemd read units that were written since it read them. Return the actions."""
    params = module.params
    if not any(is_unread(unit_state(unit)) for unit in (params["unit"], *params["helpers"])):
        return []
    if not module.check_mode:
        run(["systemctl", "daemon-reload"])
    return [{"verb": "reload", "what": "systemd, which goes by older units"}]


def converge(module):
    params = module.params
    units = read_units(module)
    state = unit_state(params["unit"]) if module.check_mode else settled(params["unit"], params["timeout"] + 10)
    try:
        said = info(params["socket"]) if state.get("ActiveState") == "active" else None
    except PermissionError:
        said = False
    verbs = plan(params, state, said)
    broken = network_problem(params["check"]) if state.get("ActiveState") == "active" else None
    if params["check"] and state.get("ActiveState") == "active" and adrift(params["unit"], state):
        verbs = restarting(verbs)
    if state.get("ActiveState") == "active" and "restart" not in verbs and takes_new_program(module, state, said):
        verbs = restarting(verbs)
    if "restart" in verbs and said is not False:  # a user who may not ask has a plan only
        guard(module)
    actions = [*units, *({"verb": verb, "what": params["unit"]} for verb in verbs)]
    if broken:
        part = "network namespace" if dedicated(params["unit"]) else "egress"
        actions.insert(0, {"verb": "change", "what": f"{part}: {broken}"})
    # A started or restarted dockerd creates a new socket; only a running one's can have been tampered with.
    running = state.get("ActiveState") == "active" and "restart" not in verbs
    closed = running and params["group"] and socket_wrong(params["socket"], params["group"])
    if closed:
        actions.append({"verb": "change", "what": f"{params['socket']}: mode 0660, group {params['group']}"})
    if module.check_mode:
        return {"changed": bool(actions), "actions": actions}
    if closed:
        os.chown(params["socket"], -1, grp.getgrnam(params["group"]).gr_gid)
        os.chmod(params["socket"], SOCKET_MODE)
    if broken:
        mend_network(module)
    act(module, verbs)
    said = answered(module, verbs, params["timeout"] if actions else 10)
    return {"changed": bool(actions), "actions": actions, "version": said.get("ServerVersion", "")}


def answered(module, verbs, seconds):
    """Return the /info of the engine, which must answer and know the runtimes within the seconds."""
    params = module.params
    said = wait(params["socket"], params["runtimes"], seconds)
    if said is None and "reload" in verbs:  # a dockerd that did not take the reload
        guard(module)
        act(module, ["restart"])
        said = wait(params["socket"], params["runtimes"], params["timeout"])
    if said is None:
        forget(params)
        fail(module, f"The engine does not answer on {params['socket']} as it should.", f"run `journalctl -u {params['unit']}`")
    if params["data_root"]:
        used(params["data_root"])
    return said


def mend_network(module):
    if not dedicated(module.params["unit"]):
        run(["systemctl", "daemon-reload"])  # the rules' own unit may have just been written
    command = [*module.params["check"][:-1], "up"]
    try:
        result = run(command)
        reason = result.stderr.strip() if result.returncode != 0 else None
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    if reason is not None:
        fail(
            module,
            f"The engine's network cannot be made: {reason or 'no reason given'}",
            f"run `sudo {' '.join(command)}` to see why",
        )


def stop(module):
    """Stop and disable the engine and what it needs; its containers are the user's, so they are asked for first."""
    params = module.params
    states = {unit: unit_state(unit) for unit in (params["unit"], *reversed(params["helpers"]))}
    units = [unit for unit, state in states.items() if state.get("LoadState") == "loaded"]
    live = [unit for unit in units if states[unit].get("ActiveState") != "inactive"]
    # One that was stopped by hand, or whose first start was cut off, would leave its link for the boot behind.
    idle = [unit for unit in units if unit not in live and states[unit].get("UnitFileState", "").startswith("enabled")]
    actions = [{"verb": "stop", "what": unit} for unit in live] + [{"verb": "disable", "what": unit} for unit in idle]
    try:
        containers = running(params["socket"]) if units else []
    except PermissionError:
        containers = []
        if module.check_mode and live:  # who may not list them is asked all the same
            return {"changed": True, "actions": actions, "confirm": ["whatever containers run in the engine (this user may not list them)"]}
    names = [container["name"] for container in containers]
    if names and module.check_mode:
        return {"changed": True, "actions": actions, "confirm": [f"container {name}" for name in names]}
    if names and not params["stop_containers"]:
        module.fail_json(
            msg=f"Containers run in the engine: {', '.join(names)}. They have to be stopped first.",
            hint=f"run `docker --host unix://{params['socket']} stop {' '.join(names)}`, or go on with `cai uninstall --yes`",
            failure="precondition",
            containers=names,
        )
    if not module.check_mode:
        stop_containers(module, containers)
        for unit in units if actions else []:
            result = run(["systemctl", "disable", "--now", unit])
            if result.returncode != 0:
                fail(module, f"{unit} did not stop: {result.stderr.strip()}", f"run `systemctl status {unit}`")
        outlived(module, containers)
    return {"changed": bool(actions), "actions": actions}


def outlived(module, containers, seconds=10):
    """Fail if containers run on without their engine, as under live-restore: nobody could stop them any more."""
    end = time.monotonic() + seconds
    known = {container["id"] for container in containers}
    while True:
        left = [container["name"] for container in shims() if container["id"] in known]
        if not left:
            return
        if time.monotonic() >= end:
            unit = module.params["unit"]
            fail(module, f"Containers run on without their engine: {', '.join(left)}.", f"run `sudo systemctl start {unit}`, then `cai uninstall` again")
        time.sleep(0.5)


def stop_containers(module, containers):
    """Stop them while there is an engine to do it: one with live-restore leaves them running when it ends."""
    for container in containers:
        name = container["name"]
        # Where nobody listens, dockerd itself stops its containers as it ends.
        objection = "" if container.get("shim") else stop_container(module.params["socket"], container["id"])
        if objection:
            fail(module, f"The container {name} did not stop: {objection}", f"run `docker --context containai-secure kill {name}`, then `cai uninstall` again")


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "helpers": {"type": "list", "elements": "str", "default": []},
            "revision": {"type": "str", "default": ""},
            "check": {"type": "list", "elements": "str", "default": []},
            "socket": {"type": "path", "required": True},
            "runtimes": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "stop_containers": {"type": "bool", "default": False},
            "restart_containers": {"type": "bool", "default": False},
            "upgraded": {"type": "bool", "default": False},
            "group": {"type": "str", "default": ""},
            "data_root": {"type": "path"},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    hold(module)
    try:
        module.exit_json(**(converge(module) if module.params["state"] == "started" else stop(module)))
    except Failure as failure:
        module.fail_json(**failure.told)


if __name__ == "__main__":
    main()
