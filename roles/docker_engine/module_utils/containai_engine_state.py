"""Look at the engine as it is now: its unit, its socket, its network namespace. Changes nothing."""

from __future__ import annotations

import grp
import os
import re

from ansible.module_utils.containai.process import output, run
from ansible.module_utils.containai.running import Unknown, info
from ansible.module_utils.containai.systemd import is_unread, unit_state
from ansible.module_utils.containai_data_root import unused

NETNS = "/run/netns/containai"
CONTAINERD_UNIT = "containai-containerd.service"
SOCKET_MODE = 0o660
ENABLED = ("enabled", "enabled-runtime", "static", "indirect")


def outdated(state, revision):
    """Whether the running process was started from other files than those of `revision`: its own environment tells."""
    if not revision:
        return False
    try:
        with open(f"/proc/{state.get('MainPID')}/environ", "rb") as handle:
            return f"CONTAINAI_REVISION={revision}".encode() not in handle.read().split(b"\0")
    except OSError:
        return False


def dedicated(unit):
    """Whether this is the engine beside others, in a network namespace of its own; in the VM it is the only one."""
    return unit != "docker.service"


def adrift(unit, state):
    """Whether the engine runs in another network namespace than the one that bears the name now: the name was deleted under it."""
    if not dedicated(unit):
        return False
    try:
        there = os.stat(NETNS)
        own = os.stat(f"/proc/{state.get('MainPID')}/ns/net")
    except FileNotFoundError:
        return True
    except OSError:  # whose namespace a process is in, root alone may see
        return False
    return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)


def program_version():
    """Return the version of the dockerd that is installed; empty if it does not say one."""
    found = re.search(r"version ([^\s,]+)", output(["dockerd", "--version"], timeout=30))
    return found[1] if found else ""


def replaced(unit, state, said):
    """Whether the program of the running engine, or of its containerd, was replaced since it started: its package was upgraded.

    An ordinary user may not see which file a process runs; for one, the version of the installed dockerd decides. `said`: the engine's /info.
    """
    if not dedicated(unit):  # a VM's own service, which its package restarts
        return False
    for pid in (state.get("MainPID"), unit_state(CONTAINERD_UNIT).get("MainPID")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)"):
                return True
        except PermissionError:
            there = program_version()
            return bool(there and said) and there != said.get("ServerVersion")
        except OSError:  # it does not run
            continue
    return False


def lacks(info, runtimes):
    have = (info or {}).get("Runtimes", {})
    return [name for name, wanted in runtimes.items() if have.get(name, {}).get("path") != wanted["path"]]


def as_wanted(params, revision):
    """Return the /info of an engine that runs as its files say, from these very files, and knows the runtimes; None of any other."""
    state = unit_state(params["unit"])
    if state.get("ActiveState") != "active" or state.get("UnitFileState") not in ENABLED or outdated(state, revision):
        return None
    if is_unread(state):
        return None
    try:
        said = info(params["socket"])
    except (Unknown, PermissionError):
        return None
    if not said or lacks(said, params["runtimes"]) or unused(params["data_root"]) or replaced(params["unit"], state, said):
        return None
    if socket_wrong(params["socket"], params["group"]):
        return None
    whole = not params["check"] or not (adrift(params["unit"], state) or network_problem(params["check"]))
    return said if whole else None


def network_problem(check):
    """What of the network is missing, in the check's words; None where all is there, or where only root could tell."""
    if not check or os.geteuid() != 0:
        return None
    try:
        result = run(check)
    except OSError as error:
        return f"{check[0]}: {error.strerror}"
    said = result.stdout.strip() or result.stderr.strip() or f"{check[0]} ended with {result.returncode}"
    return said.splitlines()[0] if result.returncode != 0 else None


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
