"""The engine's part of the health report: what is found, and the command that mends it."""

from __future__ import annotations

import os

from ansible.module_utils.containai_engine_state import (
    adrift,
    group_name,
    network_problem,
    socket_wrong,
    unit_state,
)
from ansible.module_utils.containai_running import Unknown, info

ANSWER_SECONDS = 10


def finding(part, status, found, hint=""):
    return {"part": part, "status": status, "found": found, "hint": hint}


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
        said = info(path, ANSWER_SECONDS)
    except Unknown:  # slow is not dead: nothing tells whether it is well, and a restart would end its containers
        found = f"{unit} is active and does not answer on {path} within {ANSWER_SECONDS} seconds"
        findings.append(finding("engine", "unknown", found, f"wait and run `cai doctor` again; `journalctl -u {unit}` shows what the engine does"))
        return {"findings": findings, "ready": False}
    except PermissionError:
        ours = findings[0]["status"] == "pass"
        found = f"{unit} is active; this user may not use {path}"
        findings.append(finding("engine", "warn" if ours else "unknown", found, f"log out and in again, or run `newgrp {params['group']}`" if ours else ""))
        return {"findings": findings, "ready": False}
    if not said:
        findings.append(finding("engine", "fail", f"{unit} is active but does not answer on {path}", f"run `sudo systemctl restart {unit}`"))
        return {"findings": findings, "ready": False}
    if state.get("UnitFileState") != "enabled":
        findings.append(
            finding("engine", "warn", f"Docker {said.get('ServerVersion')} answers, but {unit} does not start at boot", f"run `sudo systemctl enable {unit}`")
        )
    else:
        findings.append(finding("engine", "pass", f"Docker {said.get('ServerVersion')} answers on {path}"))
    return {"findings": findings + network_findings(params, state), "ready": True}


def socket_finding(params):
    path, group = params["socket"], params["group"]
    mend = f"run `sudo systemctl restart {params['unit']}`"
    try:
        there = os.stat(path)
    except OSError as error:
        return finding("socket", "fail", f"{path}: {error.strerror}", mend)
    found = f"{path} has mode {there.st_mode & 0o777:04o} and group {group_name(there.st_gid)}"
    if socket_wrong(path, group):
        return finding("socket", "fail", f"{found}; 0660 and {group} are needed", f"run `sudo chgrp {group} {path} && sudo chmod 660 {path}`")
    return finding("socket", "pass", found)


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
