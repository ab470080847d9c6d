"""Ask systemd about its units."""

from __future__ import annotations

from ansible.module_utils.containai.process import run, which


def unit_state(unit):
    """Return systemd's view of a unit as a dict; empty where systemctl cannot be had."""
    if not which("systemctl"):
        return {}
    wanted = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NeedDaemonReload"
    said = run(["systemctl", "show", "-p", wanted, unit]).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def is_unread(state):
    """Whether systemd still goes by an older file of the unit, or by none: somebody edited or deleted it, and it was written again since."""
    return state.get("NeedDaemonReload") == "yes" or (state.get("ActiveState") == "active" and state.get("LoadState") == "not-found")
