#!/usr/bin/python
"""Install or upgrade Sysbox from a pinned package, and keep its services running."""

from __future__ import annotations

import os

from ansible.module_utils import containai_apt
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai_engine_health import finding
from ansible.module_utils.containai_lock import hold
from ansible.module_utils.containai_proxy import use
from ansible.module_utils.containai_record import Record, read, replace
from ansible.module_utils.containai_sysbox_deb import (
    PACKAGE,
    Failure,
    check_deb,
    fetch,
    install,
    installed,
    purge,
    remains,
    sweep,
)
from ansible.module_utils.containai_sysbox_host import UNITS, idle_units, single_subid_line, systemctl, wake
from ansible.module_utils.containai_sysbox_rules import OTHER_SOCKET, check_file, check_settings, check_sum, decide, live, refuse_live, refuse_removal

DOCUMENTATION = r"""
module: sysbox_package
short_description: Make sure that the wanted Sysbox is installed and its three services run
description:
  - The package is checked against a sha256 before anything reads it, and installed in a private mount namespace in which C(/etc/docker) is a scratch folder,
    so that its maintainer scripts, which edit C(/etc/docker/daemon.json) and restart Docker, reach neither.
  - Another version is replaced, but never by an older one unless I(downgrade). With Sysbox containers running an upgrade is refused, since it breaks them.
  - sysbox-mgr is told by a drop-in which engine's socket to use.
options:
  version: {type: str, required: true, description: "Version, such as C(0.7.1)."}
  source: {type: str, required: true, description: Path or URL of the package.}
  sha256: {type: dict, required: true, description: sha256 by architecture (amd64, arm64).}
  architecture: {type: str, required: true, description: dpkg's architecture.}
  socket: {type: path, required: true, description: Socket of the engine that Sysbox serves.}
  state: {type: str, choices: [present, absent], default: present, description: "C(absent) purges a Sysbox that this module installed, and no other."}
  preflight: {type: bool, default: false, description: "Refuse what the run would refuse, and do nothing else."}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
  proxy: {type: str, default: '', description: "Proxies for what is fetched: JSON text of {C(https_proxy): address, ...}."}
  progress: {type: str, default: '', description: File in which download and installation say how far they are.}
  apt_wait: {type: int, default: 300, description: Seconds to wait for another process that holds apt's lock.}
  downgrade: {type: bool, default: false, description: Replace a newer version too.}
  restart_containers: {type: bool, default: false, description: Go on although Sysbox containers run; they will have to be restarted.}
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
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: Sysbox, status: pass, found: Sysbox 0.7.1, hint: ""}]}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: install, what: Sysbox 0.7.1}]}
version: {type: str, returned: always, description: the version installed before, sample: 0.7.0}
"""

DROP_IN = "/etc/systemd/system/sysbox-mgr.service.d/10-containai.conf"
DOWNLOADS = "/var/lib/containai/downloads"


def drop_in(path):
    return f"# Made by cai: sysbox-mgr asks Docker about its containers, and the default socket may be another engine's.\n[Service]\nEnvironment=DOCKER_HOST=unix://{path}\n"


def check_step(params, current, step):
    """Stop at whatever makes the step impossible, before anything changes."""
    if step:
        check_sum(params)
    if step in ("upgrade", "downgrade", "repair"):
        refuse_live(params, current)


def preflight(module):
    """Refuse now what the run would refuse later: by then other parts have changed."""
    params = module.params
    if params["state"] == "absent":
        if removable():
            refuse_removal(params, engine_stops=True)
        return
    check_settings(params)
    current, finished = installed()
    step, _ = decide(params, current, finished)
    check_step(params, current, step)
    if step:
        check_file(params["source"])


def converge(module):
    params = module.params
    check_settings(params)  # before a version is compared
    current, finished = installed()
    step, warning = decide(params, current, finished)
    if warning:
        module.warn(warning)
    check_step(params, current, step)
    actions, diff = [], []
    wanted, there = drop_in(params["socket"]).encode(), read(DROP_IN)
    if there != wanted:
        actions.append({"verb": "create" if there is None else "change", "what": DROP_IN})
        diff.append({"before_header": DROP_IN, "after_header": DROP_IN, "before": (there or b"").decode(), "after": wanted.decode()})
    if step:
        actions.append(
            {"verb": "install" if step == "install" else "change", "what": f"Sysbox {params['version']}" + (f" ({step} of {current})" if current else "")}
        )
    sleeping = [] if step else idle_units()
    if sleeping:
        actions.append({"verb": "start", "what": " ".join(sleeping)})
    unsettled = Record().unsettled("sysbox") and not step  # a run was killed between dpkg's end and the record
    if unsettled and not module.check_mode:
        Record().settle("sysbox")
    if actions and not module.check_mode:
        apply(module, step, there if there != wanted else None, wanted if there != wanted else None, sleeping)
    return {"changed": bool(actions) or unsettled, "actions": actions, "diff": diff, "version": current or ""}


def apply(module, step, there, wanted, sleeping):
    params = module.params
    record = Record()
    deb = None
    if step:  # everything that can be refused is refused before the first change
        deb = fetch(params["source"], params["sha256"][params["architecture"]], DOWNLOADS, params["progress"])
        try:
            check_deb(deb, params["version"], params["architecture"])
        except Failure:
            os.unlink(deb)
            raise
    if wanted is not None:
        record.note_file(DROP_IN, there, wanted)
        record.save()
        replace(DROP_IN, wanted)
        systemctl("daemon-reload")
    if step:
        if step == "install":
            record.watch("sysbox")
        install(deb, params["progress"], params["apt_wait"])
        os.unlink(deb)
        if record.unsettled("sysbox"):
            record.settle("sysbox")
        single_subid_line()
    elif wanted is not None and not live([params["socket"], OTHER_SOCKET]):
        systemctl("restart", "sysbox.service")
    wake(sleeping or idle_units())


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
        findings.append(finding("Sysbox services", "fail", f"not running: {', '.join(idle)}", "run `sudo systemctl restart sysbox`"))
    else:
        findings.append(finding("Sysbox services", "pass", "sysbox, sysbox-mgr and sysbox-fs run"))
    return {"findings": findings, "ready": finished and not idle}


def ours():
    """Whether setup installed it, or began to."""
    record = Record()
    return PACKAGE in record.data.get("packages", []) or record.unsettled("sysbox")


def brought():
    """The packages that setup brought, or had begun to bring."""
    record = Record()
    record.count_cut_off()
    return record.data.get("packages", [])


def removable():
    """Whether there is a Sysbox, or what is left of one, that setup installed."""
    return ours() and remains()


def remove(module):
    """Purge the package in the same shadow, since its purge edits daemon.json as well."""
    params = module.params
    if ours() and not module.check_mode:
        containai_apt.quiet(params["apt_wait"])  # the apt of a run that was killed may be installing it yet
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
            held = containai_apt.holder()
            hint = containai_apt.hint(held, lines) if held else "run `sudo apt-get purge sysbox-ce` to see why, then `cai uninstall` again"
            raise Failure(f"apt could not remove Sysbox{held}:\n{lines}", hint)
    return {"changed": True, "actions": [{"verb": "remove", "what": f"Sysbox {current or '(the rest of it)'}"}], "version": current or ""}


def main():
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "sha256": {"type": "dict", "required": True},
            "architecture": {"type": "str", "required": True},
            "socket": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "preflight": {"type": "bool", "default": False},
            "report": {"type": "bool", "default": False},
            "proxy": {"type": "str", "default": "", "no_log": True},
            "progress": {"type": "str", "default": ""},
            "apt_wait": {"type": "int", "default": 300},
            "downgrade": {"type": "bool", "default": False},
            "restart_containers": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    hold(module)
    use(module.params["proxy"])
    try:
        if module.params["preflight"]:
            preflight(module)
            module.exit_json(changed=False, actions=[])
        if module.params["report"]:
            module.exit_json(changed=False, **report(module.params))
        result = converge(module) if module.params["state"] == "present" else remove(module)
        if not module.check_mode:
            sweep()
        module.exit_json(**result)
    except Failure as failure:
        module.fail_json(msg=failure.message, hint=failure.hint, failure=failure.failure)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A file'} cannot be used: {error.strerror}.",
            hint="run `df -h / /var /run`, make room or mend the mount, then try again",
            failure="failed",
        )


if __name__ == "__main__":
    main()
