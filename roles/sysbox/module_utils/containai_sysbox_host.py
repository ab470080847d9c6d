"""Sysbox on this host: its services, its containers, its range of ids."""

from __future__ import annotations

import os
import shutil
import subprocess

from ansible.module_utils.containai_engine_api import ask
from ansible.module_utils.containai_record import read, replace
from ansible.module_utils.containai_sysbox_deb import PATH, Failure

UNITS = ("sysbox-mgr.service", "sysbox-fs.service", "sysbox.service")
SUBIDS = ("/etc/subuid", "/etc/subgid")


def sysbox_containers(sockets):
    """Return the names of the running containers under sysbox-runc, of every engine that answers."""
    names = []
    for path in dict.fromkeys(os.path.realpath(path) for path in sockets if os.path.exists(path)):
        try:
            items = ask(path, "/containers/json") or []
        except PermissionError:  # a dry run by an ordinary user; the run itself is root's
            continue
        for item in items:
            detail = ask(path, f"/containers/{item['Id']}/json") or {}
            if detail.get("HostConfig", {}).get("Runtime") == "sysbox-runc":
                names.append(detail.get("Name", item["Id"][:12]).lstrip("/"))
    return names


def systemctl(*argv):
    return subprocess.run(["systemctl", *argv], capture_output=True, text=True, env={"PATH": PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, check=False)


def idle_units():
    """The Sysbox services that do not run; all of them where systemctl cannot tell."""
    if not shutil.which("systemctl", path=os.environ.get("PATH", PATH)):
        return list(UNITS)
    return [unit for unit in UNITS if systemctl("is-active", "--quiet", unit).returncode != 0]


def wake(sleeping):
    if not sleeping:
        return
    systemctl("reset-failed", *UNITS)
    systemctl("enable", *UNITS)
    # The three are bound to one another: whichever stopped, all are started anew.
    result = systemctl("restart", "sysbox.service")
    if result.returncode != 0 or idle_units():
        raise Failure(
            f"The Sysbox services do not run: {' '.join(idle_units())} ({result.stderr.strip() or 'no reason given'}).",
            "run `systemctl status sysbox-mgr sysbox-fs` and `journalctl -u sysbox-mgr -u sysbox-fs`",
        )


def single_subid_line():
    """Repeated installs leave a `sysbox:` line each, and sysbox-mgr takes none of two."""
    for path in SUBIDS:
        lines = (read(path) or b"").decode().splitlines(keepends=True)
        ours = [line for line in lines if line.startswith("sysbox:")]
        if len(ours) > 1:
            kept = [line for line in lines if not line.startswith("sysbox:")]
            replace(path, "".join([*kept, ours[0]]).encode())
