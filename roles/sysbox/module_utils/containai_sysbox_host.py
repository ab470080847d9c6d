"""Sysbox on this host: its services, its mounts, its range of ids."""

from __future__ import annotations

import os

from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import run, which
from ansible.module_utils.containai.record import read, replace

UNITS = ("sysbox-mgr.service", "sysbox-fs.service", "sysbox.service")
STARTS = 2
SUBIDS = ("/etc/subuid", "/etc/subgid")


def systemctl(*argv):
    return run(["systemctl", *argv])


def idle_units():
    """The Sysbox services that do not run; all of them where systemctl cannot tell."""
    if not which("systemctl"):
        return list(UNITS)
    return [unit for unit in UNITS if systemctl("is-active", "--quiet", unit).returncode != 0]


def wake(sleeping):
    """Start what sleeps. A start of sysbox-fs hangs now and then: a second one does not."""
    if not sleeping:
        return
    for _ in range(STARTS):
        systemctl("reset-failed", *UNITS)
        systemctl("enable", *UNITS)
        # The three depend on one another: if one stopped, all are restarted.
        result = systemctl("restart", "sysbox.service")
        if result.returncode == 0 and not idle_units():
            return
    raise Failure(
        f"The Sysbox services do not run: {' '.join(idle_units()) or 'sysbox.service'} ({result.stderr.strip() or 'no reason given'}).",
        "run `systemctl status sysbox-mgr sysbox-fs` and `journalctl -u sysbox-mgr -u sysbox-fs`",
    )


def unmount(paths):
    """Take dead mounts off, which nobody can use any more."""
    for path in paths:
        run(["umount", "--lazy", path])
        try:
            os.rmdir(path)
        except OSError:  # another mount below it, or gone already
            continue


def single_subid_line():
    """Repeated installs leave a `sysbox:` line each, and sysbox-mgr takes none of two."""
    for path in SUBIDS:
        lines = (read(path) or b"").decode().splitlines(keepends=True)
        ours = [line for line in lines if line.startswith("sysbox:")]
        if len(ours) > 1:
            kept = [line for line in lines if not line.startswith("sysbox:")]
            replace(path, "".join([*kept, ours[0]]).encode())
