#!/usr/bin/python
"""Bring the engine's service to the state that its files describe, with the least that does it."""

from __future__ import annotations

import grp
import os
import re
import shutil
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai_engine_api import ask

DOCUMENTATION = r"""
module: docker_engine_service
short_description: Start, reload or restart the secure engine, whichever is the least that is needed
description:
  - A stopped or disabled service is started and enabled; one that was started from other files, or whose socket is dead, is restarted; one that lacks a runtime
    of its daemon.json is reloaded. Nothing is done to a service that is as wanted. Success means that the engine answered on its socket.
  - Touches no service but the named ones.
options:
  unit: {type: str, required: true, description: "The engine's unit, such as C(containai-docker.service)."}
  helpers: {type: list, elements: str, default: [], description: Units that it needs and that are brought up to date first.}
  revision: {type: str, default: '', description: "C(CONTAINAI_REVISION) that the running service must have been started with; empty means any."}
  check: {type: list, elements: str, default: [], description: Command that must succeed for the network namespace to be whole. Its C(up) mends it.}
  socket: {type: path, required: true, description: The engine's API socket.}
  runtimes: {type: dict, default: {}, description: "Runtimes that the running engine must know, such as C({sysbox-runc: {path: /usr/bin/sysbox-runc}})."}
  state: {type: str, choices: [started, stopped], default: started, description: "C(stopped) also disables; it is refused while containers run."}
  stop_containers: {type: bool, default: false, description: "With I(state=stopped): go on although containers run, and stop them."}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
  group: {type: str, default: '', description: "Group that the socket belongs to, with mode 0660; empty means as dockerd made it."}
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
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: engine, status: fail, found: containai-docker.service is inactive, hint: run `sudo systemctl start containai-docker.service`}]}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: reload, what: containai-docker.service}]}
version: {type: str, returned: when the engine answers, description: the engine's version, sample: 28.5.2}
"""

NETNS = "/run/netns/containai"
SOCKET_MODE = 0o660
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, check=False)


def unit_state(unit):
    """Return systemd's view of a unit as a dict; empty where systemctl cannot be had."""
    if not shutil.which("systemctl", path=os.environ.get("PATH", PATH)):
        return {}
    wanted = "LoadState,ActiveState,UnitFileState,MainPID"
    return dict(line.split("=", 1) for line in run("systemctl", "show", "-p", wanted, unit).stdout.splitlines() if "=" in line)


def outdated(state, revision):
    """Whether the running process was started from other files than those of `revision`: its own environment tells."""
    if not revision:
        return False
    try:
        with open(f"/proc/{state.get('MainPID')}/environ", "rb") as handle:
            return f"CONTAINAI_REVISION={revision}".encode() not in handle.read().split(b"\0")
    except OSError:
        return False


def adrift(state):
    """Whether the engine runs in another network namespace than the one that bears the name now: the name was deleted under it."""
    try:
        there = os.stat(NETNS)
        own = os.stat(f"/proc/{state.get('MainPID')}/ns/net")
    except FileNotFoundError:
        return True
    except OSError:  # whose namespace a process is in, root alone may see
        return False
    return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)


def lacks(info, runtimes):
    have = (info or {}).get("Runtimes", {})
    return [name for name, wanted in runtimes.items() if have.get(name, {}).get("path") != wanted["path"]]


def plan(params, state, info):
    """Return the verbs that bring the engine where it should be; `info` False: it could not be asked."""
    verbs = []
    if state.get("UnitFileState") not in ("enabled", "enabled-runtime", "static", "indirect"):
        verbs.append("enable")
    if state.get("ActiveState") != "active":
        return [*verbs, "start"]
    if outdated(state, params["revision"]) or info is None:
        return [*verbs, "restart"]
    return [*verbs, "reload"] if info and lacks(info, params["runtimes"]) else verbs


def wait(path, runtimes, seconds):
    """Wait until the engine answers and knows `runtimes`; return its /info, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        info = ask(path, "/info")
        if info and not lacks(info, runtimes):
            return info
        time.sleep(0.2)
    return None


def journal(*units):
    text = run("journalctl", "--no-pager", "-o", "cat", "-n", "12", *(f"--unit={unit}" for unit in units)).stdout
    return re.sub(r"[^\x20-\x7e\n]", "", text).strip()


def fail(module, what, hint):
    units = [module.params["unit"], *module.params["helpers"]]
    module.fail_json(msg=f"{what}\n{journal(*units)}".strip(), hint=hint, failure="failed")


def act(module, verbs):
    params = module.params
    unit = params["unit"]
    if verbs:
        run("systemctl", "daemon-reload")
    for verb in verbs:
        units = [unit]
        if verb in ("start", "restart"):
            units = [*params["helpers"], unit]
            run("systemctl", "reset-failed", *units)
        # A stopped engine may have helpers of older files still running: both verbs renew them.
        result = run("systemctl", "restart" if verb == "start" else verb, *units)
        if result.returncode != 0:
            fail(
                module,
                f"{unit} did not {verb}: {result.stderr.strip().splitlines()[0] if result.stderr.strip() else 'no reason given'}",
                f"run `systemctl status {unit}` and `journalctl -u {unit}`",
            )


def converge(module):
    params = module.params
    state = unit_state(params["unit"])
    try:
        info = ask(params["socket"], "/info") if state.get("ActiveState") == "active" else None
    except PermissionError:
        info = False
    verbs = plan(params, state, info)
    broken = network_problem(params["check"]) if state.get("ActiveState") == "active" else None
    if params["check"] and state.get("ActiveState") == "active" and adrift(state):
        verbs = [*(verb for verb in verbs if verb == "enable"), "restart"]
    actions = [{"verb": verb, "what": params["unit"]} for verb in verbs]
    if broken:
        actions.insert(0, {"verb": "change", "what": f"network namespace: {broken}"})
    # A started or restarted dockerd makes its socket anew; only a running one's can have been tampered with.
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
    info = wait(params["socket"], params["runtimes"], params["timeout"] if actions else 10)
    if info is None and "reload" in verbs:  # a dockerd that did not take the reload
        act(module, ["restart"])
        info = wait(params["socket"], params["runtimes"], params["timeout"])
    if info is None:
        fail(module, f"The engine does not answer on {params['socket']} as it should.", f"run `journalctl -u {params['unit']}`")
    return {"changed": bool(actions), "actions": actions, "version": info.get("ServerVersion", "")}


def network_problem(check):
    """What of the network is missing, in the check's words; None where all is there, or where only root could tell."""
    if not check or os.geteuid() != 0:
        return None
    try:
        result = run(*check)
    except OSError as error:
        return f"{check[0]}: {error.strerror}"
    said = result.stdout.strip() or result.stderr.strip() or f"{check[0]} ended with {result.returncode}"
    return said.splitlines()[0] if result.returncode != 0 else None


def mend_network(module):
    try:
        result = run(*module.params["check"][:-1], "up")
        reason = result.stderr.strip() if result.returncode != 0 else None
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    if reason is not None:
        fail(
            module,
            f"The engine's network namespace cannot be made: {reason or 'no reason given'}",
            "run `sudo /usr/local/libexec/containai/network up` to see why",
        )


def report(params):
    """Return findings about the engine, its socket and its network, and whether the engine can be used from here."""
    unit, path = params["unit"], params["socket"]
    state = unit_state(unit)
    if state.get("LoadState") != "loaded":
        return {"findings": [finding("engine", "fail", f"{unit} is not set up", "run `cai setup`")], "ready": False}
    if state.get("ActiveState") != "active":
        found = f"{unit} is {state.get('ActiveState')}"
        return {"findings": [finding("engine", "fail", found, f"run `sudo systemctl restart {' '.join([*params['helpers'], unit])}`")], "ready": False}
    findings = [socket_finding(params)]
    try:
        info = ask(path, "/info")
    except PermissionError:
        ours = findings[0]["status"] == "pass"
        found = f"{unit} is active; this user may not use {path}"
        findings.append(finding("engine", "warn" if ours else "unknown", found, f"log out and in again, or run `newgrp {params['group']}`" if ours else ""))
        return {"findings": findings, "ready": False}
    if not info:
        findings.append(finding("engine", "fail", f"{unit} is active but does not answer on {path}", f"run `sudo systemctl restart {unit}`"))
        return {"findings": findings, "ready": False}
    if state.get("UnitFileState") != "enabled":
        findings.append(
            finding("engine", "warn", f"Docker {info.get('ServerVersion')} answers, but {unit} does not start at boot", f"run `sudo systemctl enable {unit}`")
        )
    else:
        findings.append(finding("engine", "pass", f"Docker {info.get('ServerVersion')} answers on {path}"))
    return {"findings": findings + network_findings(params, state), "ready": True}


def finding(part, status, found, hint=""):
    return {"part": part, "status": status, "found": found, "hint": hint}


def socket_finding(params):
    path, group = params["socket"], params["group"]
    mend = f"run `sudo systemctl restart {params['unit']}`"
    try:
        there = os.stat(path)
    except OSError as error:
        return finding("socket", "fail", f"{path}: {error.strerror}", mend)
    found = f"{path} has mode {there.st_mode & 0o777:04o} and group {group_name(there.st_gid)}"
    if socket_wrong(path, group):
        return finding("socket", "fail", f"{found}; 0660 and {group} are needed", f"run `sudo chown root:{group} {path} && sudo chmod 660 {path}`")
    return finding("socket", "pass", found)


def group_name(gid):
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def socket_wrong(path, group):
    """Whether the socket is there and others than the group's members may use it, or its members may not."""
    if not os.path.exists(path):
        return False
    there = os.stat(path)
    return there.st_mode & 0o777 != SOCKET_MODE or (bool(group) and group_name(there.st_gid) != group)


def network_findings(params, state):
    if not params["check"]:
        return []
    if os.geteuid() == 0 and adrift(state):
        units = " ".join([*params["helpers"], params["unit"]])
        return [finding("network", "fail", "the engine does not run in the network namespace containai", f"run `sudo systemctl restart {units}`")]
    if os.geteuid() != 0:
        there = os.path.exists("/run/netns/containai") and os.path.exists("/sys/class/net/cai0")
        if there:
            return [finding("network", "pass", "namespace containai and its link are there (its rules can be seen by root only)")]
        return [finding("network", "fail", "the network namespace containai or its link cai0 is missing", "run `cai setup`")]
    problem = network_problem(params["check"])
    if problem is None:
        return [finding("network", "pass", "namespace, link and rules are there")]
    return [finding("network", "fail", problem, "run `sudo /usr/local/libexec/containai/network up`")]


def stop(module):
    """Stop and disable the engine and what it needs; its containers are the user's, so they are asked for first."""
    params = module.params
    units = [params["unit"], *reversed(params["helpers"])]
    live = [unit for unit in units if unit_state(unit).get("LoadState") == "loaded" and unit_state(unit).get("ActiveState") != "inactive"]
    try:
        names = [item["Names"][0].lstrip("/") for item in ask(params["socket"], "/containers/json") or []]
    except PermissionError:
        names = []
    if names and module.check_mode:
        return {"changed": True, "actions": [{"verb": "stop", "what": unit} for unit in live], "confirm": [f"container {name}" for name in names]}
    if names and not params["stop_containers"]:
        module.fail_json(
            msg=f"Containers run in the engine: {', '.join(names)}. They have to be stopped first.",
            hint=f"run `docker --context containai-secure stop {' '.join(names)}`, or go on with `cai uninstall --yes`", failure="precondition", containers=names,
        )  # fmt: skip
    if live and not module.check_mode:
        for unit in units:
            result = run("systemctl", "disable", "--now", unit)
            if result.returncode != 0:
                fail(module, f"{unit} did not stop: {result.stderr.strip()}", f"run `systemctl status {unit}`")
    return {"changed": bool(live), "actions": [{"verb": "stop", "what": unit} for unit in live]}


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
            "report": {"type": "bool", "default": False},
            "group": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if module.params["report"]:
        module.exit_json(changed=False, **report(module.params))
    module.exit_json(**(converge(module) if module.params["state"] == "started" else stop(module)))


if __name__ == "__main__":
    main()
