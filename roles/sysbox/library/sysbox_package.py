#!/usr/bin/python
"""Install or upgrade Sysbox from a pinned package, and keep its services running."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai import apt
from ansible.module_utils.containai.errors import Failure, reporting
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.proxy import use
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_sysbox_containers import (
    dead_mounts,
    live_mounts,
    names,
    start,
    stop,
    stopped,
)
from ansible.module_utils.containai_sysbox_deb import (
    check_deb,
    check_losses,
    fetch,
    install,
    installed,
    purge,
    remains,
    sweep,
)
from ansible.module_utils.containai_sysbox_host import UNITS, idle_units, single_subid_line, systemctl, unmount, wake
from ansible.module_utils.containai_sysbox_plan import State, ours, removable
from ansible.module_utils.containai_sysbox_rules import check_settings, for_this_host, refuse_removal

DOCUMENTATION = r"""
module: sysbox_package
short_description: Make sure that the wanted Sysbox is installed and its three services run
description:
  - The package is checked against a sha256 before anything reads it, and installed in a private mount namespace in which C(/etc/docker) is a scratch folder,
    so that its maintainer scripts, which edit C(/etc/docker/daemon.json) and restart Docker, reach neither.
  - Another version is replaced, but never by an older one unless I(downgrade). With Sysbox containers running that is refused, since it would break them;
    with I(restart_containers) they are stopped before, and M(sysbox_containers) starts them again.
  - sysbox-mgr is told by a drop-in which engine's socket to use, and to have the owners of files put right that a killed one left shifted.
  - Mounts of a sysbox-fs that is gone are taken off, and the services started in their order. Containers that ran meanwhile are named.
options:
  version: {type: str, default: '', description: "Version, such as C(0.7.1). Needed with I(state=present), as are I(source) and I(sha256)."}
  source: {type: str, default: '', description: "Path or URL of the package. C({architecture}) in it becomes dpkg's."}
  sha256: {type: dict, default: {}, description: "sha256 by architecture (amd64, arm64)."}
  architecture: {type: str, default: '', description: Empty means dpkg's.}
  socket: {type: path, required: true, description: Socket of the engine that Sysbox serves.}
  state: {type: str, choices: [present, absent], default: present, description: "C(absent) purges a Sysbox that this module installed, and no other."}
  proxy: {type: str, default: '', description: "Proxies for what is fetched: JSON text of {C(https_proxy): address, ...}."}
  progress: {type: str, default: '', description: File in which download and installation say how far they are.}
  apt_wait: {type: int, default: 300, description: Seconds to wait for another process that holds apt's lock.}
  allow_removal: {type: list, elements: str, default: [], description: Packages that apt may remove or downgrade for it.}
  downgrade: {type: bool, default: false, description: Replace a newer version too.}
  restart_containers: {type: bool, default: false, description: Stop Sysbox containers where they would break or are broken; M(sysbox_containers) starts them.}
  data_roots: {type: list, elements: path, default: [], description: Folders of the engine's data in which owners are put right.}
  program: {type: str, default: '', description: Text of the program that does that.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- sysbox_package:
    version: 0.7.1
    source: https://downloads.nestybox.com/sysbox/releases/v0.7.1/sysbox-ce_0.7.1-0.linux_amd64.deb
    sha256: {amd64: 9d6d5484f980d0a17f86c492c1262015c2afb66280bdb97215b79fde6a0261c5}
    architecture: amd64
    socket: /var/run/docker-containai.sock
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: install, what: Sysbox 0.7.1}]}
version: {type: str, returned: always, description: "the version that is installed now; before a removal, the one that was", sample: 0.7.1}
pending: {type: bool, returned: always, description: whether containers are to be started again, sample: false}
"""

DOWNLOADS = "/var/lib/containai/downloads"
REPAIR = "containai-sysbox-repair.service"


def converge(module):
    params = for_this_host(module.params)
    check_settings(params)  # before a version is compared
    state = State(params)
    state.tell(module.warn)
    actions = state.actions(params)
    if state.unsettled and not module.check_mode:
        Record().end_installation("sysbox")
    if actions and not module.check_mode:
        apply(params, state)
    pending = bool(stopped()) and not module.check_mode
    installed = params["version"] if state.step and not module.check_mode else state.current or ""
    return {"changed": bool(actions) or state.unsettled, "actions": actions, "diff": state.files.diff, "version": installed, "pending": pending}


def fetched(params):
    """Return the package. Everything that can be refused is refused before the first change."""
    deb = fetch(params["source"], params["sha256"][params["architecture"]], DOWNLOADS, params["progress"])
    try:
        check_deb(deb, params["version"], params["architecture"])
    except Failure:
        os.unlink(deb)
        raise
    return deb


def apply(params, state):
    deb = fetched(params) if state.step else None
    if state.files.drifted:
        state.files.write()
        systemctl("daemon-reload")
    if state.ended:
        stop(state.ended)  # while the Sysbox lives that knows how to give their files back
    try:
        if deb:
            replace(params, state.step, deb)
        unmount(dead_mounts())
        sleeping = state.sleeping or idle_units()
        if sleeping:
            wake(sleeping)
        elif not deb and (state.dead or state.lost or state.files.drifted) and not live_mounts():  # it serves nobody
            systemctl("restart", "sysbox.service")
        if state.lost:
            systemctl("start", REPAIR)
    except Failure as failure:
        left = start() if state.ended and not idle_units() else stopped()
        if left:
            failure.message += f"\nThese containers were stopped, and do not run: {names(left)}. The next `cai setup` that succeeds starts them."
        raise


def replace(params, step, deb):
    record, downgrade = Record(), step == "downgrade"
    # apt itself removes and downgrades nothing, and plans for seconds: it is asked first only where it may.
    going = check_losses(params["allow_removal"], deb) if params["allow_removal"] or downgrade else []
    if step == "install":
        record.begin_installation("sysbox")
    for name in going:
        record.note("removed", name)
    if going:
        record.save()
    install(deb, params["progress"], params["apt_wait"], going, downgrade)
    os.unlink(deb)
    if record.unfinished_installation("sysbox"):
        record.end_installation("sysbox")
    single_subid_line()


def brought():
    """The packages that setup brought, or had begun to bring."""
    record = Record()
    record.count_cut_off()
    return record.data.get("packages", [])


def remove(module):
    """Purge the package in the same shadow, since its purge edits daemon.json as well."""
    params = module.params
    if ours() and not module.check_mode:
        apt.quiet(params["apt_wait"])  # the apt of a run that was killed may be installing it yet
    current, _ = installed()
    if not removable():
        left = [{"verb": "leave", "what": f"Sysbox {current}: it was here before cai"}] if current else []
        return {"changed": False, "actions": left, "version": current or ""}
    refuse_removal(params, engine_stops=module.check_mode or params["restart_containers"])
    if not module.check_mode:
        systemctl("disable", "--now", *UNITS)  # the purge removes the links that it knows of, and not one that was made as it was cut off
        said = purge(params["apt_wait"], DOWNLOADS, brought())
        if remains():
            lines = "\n".join([line for line in f"{said.stdout}\n{said.stderr}".splitlines() if line.strip()][-6:])
            held = apt.holder()
            hint = apt.hint(held, lines) if held else "run `sudo apt-get purge sysbox-ce` to see why, then `cai uninstall` again"
            raise Failure(f"apt could not remove Sysbox{held}:\n{lines}", hint)
    return {"changed": True, "actions": [{"verb": "remove", "what": f"Sysbox {current or '(the rest of it)'}"}], "version": current or ""}


def main():
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "sha256": {"type": "dict", "default": {}},
            "architecture": {"type": "str", "default": ""},
            "socket": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "proxy": {"type": "str", "default": "", "no_log": True},
            "progress": {"type": "str", "default": ""},
            "apt_wait": {"type": "int", "default": 300},
            "allow_removal": {"type": "list", "elements": "str", "default": []},
            "downgrade": {"type": "bool", "default": False},
            "restart_containers": {"type": "bool", "default": False},
            "data_roots": {"type": "list", "elements": "path", "default": []},
            "program": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    hold(module)
    use(module.params["proxy"])
    with reporting(module, "run `df -h / /var /run`, make room or mend the mount, then try again"):
        result = converge(module) if module.params["state"] == "present" else remove(module)
        if not module.check_mode:
            sweep()
        module.exit_json(**result)


if __name__ == "__main__":
    main()
