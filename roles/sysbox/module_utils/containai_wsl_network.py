"""WSL's network mode, what fixes it, and what ends a seccomp conflict in it.

WSL's init installs its listener in the modes mirrored and virtioproxy (consomme in newer releases), and in nat, bridged and none not. Windows falls back
from nat to virtioproxy by itself where it cannot make the NAT network (microsoft/WSL issue 12645). The policies are those of WSL.admx.
"""

from __future__ import annotations

import os
import re

from ansible.module_utils.containai import process
from ansible.module_utils.containai.process import attempt, which

REG = "/mnt/c/Windows/System32/reg.exe"
POLICIES = r"HKLM\Software\Policies\WSL"
FALLBACKS = ("virtioproxy", "consomme")
SET_NAT = "set `networkingMode=nat` below `[wsl2]` in %UserProfile%\\.wslconfig, then run `wsl --shutdown` in Windows and `cai setup` again"


def output(argv):
    """Return what a program prints; empty if it is not there, fails, cannot be run (interop is off) or hangs."""
    answer = attempt(argv, env={**os.environ, "PATH": process.PATH}, timeout=10)
    return answer.stdout if answer and answer.returncode == 0 else ""


def networking_mode():
    """Return the mode that WSL is in, such as mirrored; empty where it cannot be told (an older WSL has no wslinfo)."""
    if not which("wslinfo"):
        return ""
    return "".join(char for char in output(["wslinfo", "--networking-mode"]).strip().lower() if char.isalnum())


def fixed_by_policy():
    """Whether a policy of this Windows forbids the user's choice of the mode; false too where Windows cannot be asked."""
    if not os.path.isfile(REG):
        return False
    return bool(re.search(r"AllowNetworkingModeUserSetting\s+REG_DWORD\s+0x0\b", output([REG, "query", POLICIES])))


def remedy(mode, fixed):
    """Return the one thing to do about a conflict in this mode."""
    if fixed:
        return (
            "ask the administrator of this Windows for the network mode NAT: the policy AllowNetworkingModeUserSetting forbids a choice of your own, and "
            f"DefaultNetworkingMode sets the mode (`reg query {POLICIES}` shows both); then run `wsl --shutdown` in Windows and `cai setup` again"
        )
    if mode in FALLBACKS:
        return (
            "find out why Windows could not make the NAT network: run `wsl --shutdown` and then `wsl` in PowerShell, whose warning "
            '"Failed to configure network (networkingMode Nat)" names the cause; mend that, then run `cai setup` again'
        )
    if mode in ("nat", "bridged", "none"):
        return f"run `wsl --update` and `wsl --shutdown` in Windows, then `cai setup` again: WSL holds no listener in the mode {mode}, so this one is a mistake"
    if mode == "mirrored":
        return SET_NAT
    return f"{SET_NAT}; if that changes nothing, run `wsl --update` first, after which WSL tells its network mode"


def told(mode, fixed):
    """Return the mode in words."""
    return f"networkingMode {mode or 'unknown'}{', fixed by policy' if fixed else ''}"
