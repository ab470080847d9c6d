"""Sysbox's part of the health report: the package, its services, its mounts and the containers that it serves."""

from __future__ import annotations

from ansible.module_utils.containai.findings import finding
from ansible.module_utils.containai_sysbox_containers import dead_mounts, lost, names, running
from ansible.module_utils.containai_sysbox_deb import installed
from ansible.module_utils.containai_sysbox_host import idle_units
from ansible.module_utils.containai_sysbox_rules import decide

RESTART = "`cai setup -e sysbox_restart_containers=true`"


def report(params):
    """Return findings about the package and its services."""
    current, finished = installed()
    step, _ = decide(params, current, finished)
    if current is None:
        return {"findings": [finding("Sysbox", "fail", "Sysbox is not installed", "run `cai setup`")], "ready": False}
    found = f"Sysbox {current}" + ("" if finished else ", incomplete")
    findings = [finding("Sysbox", "fail", f"{found}; {params['version']} is needed", "run `cai setup`") if step else finding("Sysbox", "pass", found)]
    idle = idle_units()
    if idle:
        # Not `systemctl restart`: containers that run under it would lose the owners of their files.
        findings.append(finding("Sysbox services", "fail", f"not running: {', '.join(idle)}", "run `cai setup`"))
    else:
        findings.append(finding("Sysbox services", "pass", "sysbox, sysbox-mgr and sysbox-fs run"))
    findings += [found for found in (of_mounts(), of_containers(params["socket"])) if found]
    return {"findings": findings, "ready": finished and not idle}


def of_mounts():
    """The finding about mounts whose sysbox-fs is gone, if there are any."""
    dead = dead_mounts()
    if not dead:
        return None
    return finding("Sysbox mounts", "fail", f"{len(dead)} below /var/lib/sysboxfs are dead: their sysbox-fs ended without taking them off", "run `cai setup`")


def of_containers(socket):
    """The finding about containers that run and are not served, if there are any."""
    gone = lost(running(socket, sure=False))  # an engine that gives no answer is the engine's own finding
    if not gone:
        return None
    found = f"no Sysbox serves these any more, since it ended while they ran: {names(gone)}; nothing new can be started in them"
    return finding("Sysbox containers", "fail", found, f"run {RESTART}, which keeps their files; `docker cp` reads them meanwhile")
