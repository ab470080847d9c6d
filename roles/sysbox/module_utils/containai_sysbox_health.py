"""Sysbox's part of the health report: the package, its services, its runtime, its mounts, the containers that it serves, and a trial of its isolation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils import containai_sysbox_apparmor as profile
from ansible.module_utils.containai.daemon_json import DaemonJsonError, with_runtime
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.findings import finding
from ansible.module_utils.containai.record import read
from ansible.module_utils.containai_sysbox_advisories import weaknesses
from ansible.module_utils.containai_sysbox_containers import about_rescued, dead_mounts, lost, names, rescued, running
from ansible.module_utils.containai_sysbox_deb import installed
from ansible.module_utils.containai_sysbox_entry import NAME
from ansible.module_utils.containai_sysbox_host import idle_units
from ansible.module_utils.containai_sysbox_proof import prove, trial_image, try_port
from ansible.module_utils.containai_sysbox_rules import decide

RESTART = "`cai setup -e sysbox_restart_containers=true`"


def look(params, check_mode):
    """Return the findings about Sysbox, in the order of its parts. A container is run only where engine and Sysbox are such that it means something."""
    findings, ready = of_package(params["version"])
    ready = ready and params["engine_ready"]
    if params["engine_ready"]:  # one that gives no answer would not give it here either, and takes its time
        findings += of_containers(params["socket"])
    findings += [
        *of_mounts(),
        *[found for folder in params["data_roots"][:1] for found in of_rescued(folder)],
        of_runtime(params["daemon_json"], params["runtime"]),
        *of_apparmor(),
    ]
    findings += of_trials(params["socket"], ready, check_mode)
    if ready:
        findings += plain_containers(params["socket"])
    return [*findings, *weaknesses(params["advisories"], params["known"])]


def of_package(version):
    """Return (findings about the package and its services, whether both can be used)."""
    current, finished = installed()
    step, _ = decide({"version": version, "downgrade": False}, current, finished)
    if current is None:
        return [finding("Sysbox", "fail", "Sysbox is not installed", "run `cai setup`")], False
    found = f"Sysbox {current}" + ("" if finished else ", incomplete")
    findings = [finding("Sysbox", "fail", f"{found}; {version} is needed", "run `cai setup`") if step else finding("Sysbox", "pass", found)]
    idle = idle_units()
    if idle:
        # Not `systemctl restart`: containers that run under it would lose the owners of their files.
        findings.append(finding("Sysbox services", "fail", f"not running: {', '.join(idle)}", "run `cai setup`"))
    else:
        findings.append(finding("Sysbox services", "pass", "sysbox, sysbox-mgr and sysbox-fs run"))
    return findings, finished and not idle


def of_runtime(path, runtime):
    """Return the finding about the runtime's entry in daemon.json."""
    try:
        data = read(path) or b""
        right = with_runtime(data, NAME, {"path": runtime}) == data
    except PermissionError as error:
        return finding("runtime", "unknown", f"{path}: {error.strerror}", 'run `sudo "$(command -v cai)" doctor`')
    except (DaemonJsonError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        return finding("runtime", "fail", f"{path} cannot be used: {why}", f"mend it with `sudoedit {path}`, then run `cai setup`")
    if not right:
        return finding("runtime", "fail", f"{path} has no runtime {NAME} at {runtime}", "run `cai setup`")
    return finding("runtime", "pass", f"{path} has the runtime {NAME}")


def of_apparmor():
    """Return the finding about AppArmor's rules; none where they are not needed."""
    if not profile.confined():
        return []
    if profile.BLOCK in (read(profile.LOCAL) or b""):
        return [finding("AppArmor", "pass", "fusermount3 may mount for Sysbox")]
    return [finding("AppArmor", "fail", f"the profile of fusermount3 denies Sysbox its mounts; {profile.LOCAL} has no rule", "run `cai setup`")]


def of_trials(socket, ready, check_mode):
    """Return the findings of trials with containers, or why none was made."""
    if check_mode:
        return [finding("isolation", "unknown", "not tried, since check mode starts no container", "run the playbook without `--check`, or `cai doctor`")]
    if not ready:
        found = "not tried, since the engine or Sysbox cannot be used from here"
        return [finding("isolation", "unknown", found, "mend what is above, then run `cai doctor` again")]
    findings = []
    try:
        with trial_image(socket) as (tag, _), ThreadPoolExecutor() as pool:
            port = pool.submit(of_port, socket, tag)
            found = f"a container ran in a user namespace of its own (uid map {prove(socket, tag)}) with sysbox-fs"
            findings.append(finding("isolation", "pass", found))
            findings.append(port.result())
    except Failure as failure:
        findings.append(finding("isolation", "fail", failure.message, failure.hint))
    return findings


def of_port(socket, tag):
    try:
        port = try_port(socket, tag)
    except Failure as failure:
        return finding("published port", "fail", failure.message, failure.hint)
    return finding("published port", "pass", f"a container answered on 127.0.0.1:{port}")


def plain_containers(socket):
    """Return the finding about running containers that are not under Sysbox; none where there are none, or the engine cannot be asked."""
    try:
        details = [ask(socket, f"/containers/{item['Id']}/json") or {} for item in ask(socket, "/containers/json") or []]
    except PermissionError:
        return []
    runtimes = {detail.get("Name", "").lstrip("/"): detail.get("HostConfig", {}).get("Runtime", "sysbox-runc") for detail in details}
    plain = sorted(name for name, runtime in runtimes.items() if runtime != "sysbox-runc" and not name.startswith("containai-isolation-"))
    if not plain:
        return []
    found = f"not under Sysbox, and so not isolated by it: {', '.join(plain[:10])}{f' and {len(plain) - 10} more' if plain[10:] else ''}"
    return [finding("containers", "warn", found, "if that was not meant, make them again with `cai run` or `--runtime=sysbox-runc`")]


def of_mounts():
    """Return the finding about mounts whose sysbox-fs is gone; none where there are none."""
    dead = dead_mounts()
    if not dead:
        return []
    found = f"{len(dead)} below /var/lib/sysboxfs are dead: their sysbox-fs ended without taking them off"
    return [finding("Sysbox mounts", "fail", found, "run `cai setup`")]


def of_rescued(data_root):
    """Return the finding about data that were saved from a killed sysbox-mgr; none where there are none."""
    folder, found = rescued(data_root)
    return [finding("rescued data", "warn", *about_rescued(folder, found))] if found else []


def of_containers(socket):
    """Return the finding about containers that run and are not served; none where there are none."""
    gone = lost(running(socket, sure=False))  # an engine that gives no answer is the engine's own finding
    if not gone:
        return []
    found = f"no Sysbox serves these any more, since it ended while they ran: {names(gone)}; nothing new can be started in them"
    return [finding("Sysbox containers", "fail", found, f"run {RESTART}, which keeps their files; `docker cp` reads them meanwhile")]
