"""An upgrade of the packages that carry dockerd, containerd and the docker CLI: what apt would do, and what refuses it. Changes nothing."""

from __future__ import annotations

import functools
import os
import re
import time

from ansible.module_utils.containai import apt_plan
from ansible.module_utils.containai.apt import run
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import which
from ansible.module_utils.containai.running import info, refusal, running
from ansible.module_utils.containai.systemd import unit_state
from ansible.module_utils.containai_engine_state import replaced
from ansible.module_utils.containai_in_use import InUse

# The distribution's, and Docker's own.
CARRIERS = ("docker.io", "docker-cli", "containerd", "runc", "docker-ce", "docker-ce-cli", "containerd.io")
COMMAND = ("install", "--no-install-recommends", "--only-upgrade")
LEAVE = "leave Docker as it is: `cai setup -e docker_engine_upgrade=false`"
GO_ON = "`cai setup -e docker_engine_upgrade=true -e docker_engine_restart_containers=true`"
LISTS = "/var/lib/apt/lists"


class Upgrade:
    """What apt's lists offer for the packages of a Docker that is installed. `steps`: {package: (installed version, candidate)}."""

    def __init__(self):
        installed = _installed()
        offered = _offered(installed)
        self.steps = {name: (version, offered[name][0]) for name, (version, _) in installed.items() if _newer(offered.get(name, ("",))[0], version)}
        self.held = [name for name in self.steps if installed[name][1]]
        self.sourceless = [name for name in installed if not offered.get(name, ("", True))[1]]

    @functools.cached_property
    def planned(self):
        """The plan of apt, which takes it seconds; None if it cannot plan that."""
        return apt_plan.simulated(run, [*COMMAND, *self.steps])

    @property
    def actions(self):
        """What apt itself says that it does, dependencies included; what is asked of it if it cannot plan that."""
        if not self.steps or self.planned is None:
            return [_change(name, *versions) for name, versions in self.steps.items()]
        made = [_change(name, old, new) if old else {"verb": "install", "what": name} for verb, name, old, new in self.planned if verb == "Inst"]
        return made + [{"verb": "remove", "what": name} for verb, name, _, _ in self.planned if verb in ("Remv", "Purg")]

    @property
    def text(self):
        return ", ".join(f"{name} from {old} to {new}" for name, (old, new) in self.steps.items())

    def going(self, allowed):
        """Return the packages that go with permission; refuse every other loss."""
        lost = apt_plan.lost_in(run, self.planned or [])
        found = apt_plan.unwanted(lost, allowed)
        if found:
            what, option = found
            raise Failure(
                f"apt would {what} to upgrade {self.text}. Nothing was changed.", f"let it go with `cai setup` and {option}; or {LEAVE}", "precondition"
            )
        return [loss.name for loss in lost]


def refuse_foreign():
    """Refuse a Docker that apt did not install."""
    path = which("dockerd")
    owned = path and any(run(["dpkg-query", "--search", name]).returncode == 0 for name in {path, os.path.realpath(path)})
    if path and not (owned and set(_installed()) & {"docker.io", "docker-ce"}):
        raise Failure(
            f"{path} comes from neither the package docker.io nor docker-ce, so Docker cannot be upgraded here.",
            "upgrade it the way it was installed, and leave it out here: `cai setup -e docker_engine_upgrade=false`",
            "precondition",
        )


def guard(upgrade, module):
    """Refuse what stands in the way of an upgrade, before anything changes: holds, services of others, running containers, losses."""
    params = module.params
    if upgrade.steps:
        _refuse_held(upgrade)
        _refuse_others(upgrade, params["dedicated"])
    _refuse_containers(upgrade, module)
    if upgrade.steps:
        upgrade.going(params["allow_removal"])


def age():
    """Say from which day apt's lists are; an empty string where there are none."""
    try:
        return time.strftime("%F", time.gmtime(os.stat(LISTS).st_mtime))
    except OSError:
        return ""


def _refuse_held(upgrade):
    if upgrade.held:
        names = " ".join(upgrade.held)
        raise Failure(
            f"The upgrade of {upgrade.text} is not possible while {names} is held. Nothing was changed.",
            f"release them with `sudo apt-mark unhold {names}`, or {LEAVE}",
            "precondition",
        )


def _refuse_others(upgrade, dedicated):
    """The packages restart the services that they bring: with another Docker, or its containerd, that is somebody else's to do."""
    units = InUse().units if dedicated else []
    if units:
        raise Failure(
            f"The upgrade of {upgrade.text} would restart {', '.join(units)}, which another Docker or containerd of this host uses. Its containers may end"
            " with that, and they are not cai's. Nothing was changed.",
            f"when it suits its users, run `sudo apt-get install --only-upgrade {' '.join(upgrade.steps)}`, then `cai setup` again; or {LEAVE}",
            "precondition",
        )


def _refuse_containers(upgrade, module):
    """The new dockerd gets to work with a restart, and so does one that a run which was cut off had installed."""
    params = module.params
    state = unit_state(params["unit"])
    if params["restart_containers"] or not (upgrade.steps or _is_stale(params, state)):
        return
    try:
        names = [container["name"] for container in running(params["socket"], params["dedicated"])]
    except PermissionError:  # an ordinary user's plan
        module.warn(f"This user may not list the containers on {params['socket']}; the run itself upgrades Docker only if none run.")
        return
    if names:
        what = f"The upgrade of {upgrade.text}" if upgrade.steps else "The restart for the Docker that was upgraded already"
        module.fail_json(**refusal(names, what, GO_ON))


def _is_stale(params, state):
    if state.get("ActiveState") != "active":
        return False
    try:
        return replaced(params["unit"], state, info(params["socket"]))
    except PermissionError:
        return False


def _change(name, old, new):
    return {"verb": "change", "what": f"{name} {new} (upgrade of {old})"}


def _installed():
    """Return {package: (version, whether it is held)}."""
    said = run(["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Abbrev}\t${Version}\n", *CARRIERS]).stdout
    rows = [line.split("\t") for line in said.splitlines() if line.count("\t") == 2]
    return {name: (version, state[:1] == "h") for name, state, version in rows if state[1:2] == "i"}


def _offered(names):
    """Return {package: (candidate, whether a source has the package)}."""
    found, name, candidate = {}, "", ""
    for line in run(["apt-cache", "policy", *names]).stdout.splitlines() if names else ():
        if re.match(r"\S+:$", line):
            name = line[:-1].partition(":")[0]
            found[name] = ("", False)
        elif name and line.startswith("  Candidate: "):
            candidate = line.split(": ", 1)[1]
            found[name] = ("" if candidate == "(none)" else candidate, False)
        elif name and re.match(r" +-?\d+ (?!/var/lib/dpkg/status)\S", line):
            found[name] = (found[name][0], True)
    return found


def _newer(candidate, version):
    return bool(candidate) and candidate != version and run(["dpkg", "--compare-versions", candidate, "gt", version]).returncode == 0
