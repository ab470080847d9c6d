"""Decide what a machine is: wsl2, wsl1 or linux.

The roles import this file, and the command loads it (cai/platforms.py), so both always agree. Standard library only.
"""

from __future__ import annotations

import os
import re

# The builder and the compiler in /proc/version: "(me@microsoft-pc) (gcc (Debian 12) 12.2.0, ...)". They say nothing about this machine.
BUILT = re.compile(r"\((?:[^()]|\([^()]*\))*\)")
# WSL1 has no Linux kernel; it calls itself 3.4.0 or 4.4.0, as in "4.4.0-19041-Microsoft".
WSL1 = re.compile(r"(?:^|\s)[34]\.4\.0-(?:\d+-)?microsoft(?:\s|$)")


def read_text(path):
    """Return the text of a file; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def wsl_signs(root="/"):
    """Whether WSL's own files are here: what tells WSL2 with a kernel whose name does not say so. Needs neither interop nor Windows programs."""
    interop = ("WSLInterop", "WSLInterop-late")
    if any(os.path.exists(os.path.join(root, "proc/sys/fs/binfmt_misc", name)) for name in interop):
        return True
    # On WSL it is a link to /init. A distro that was moved to a native machine may keep the link, which then leads nowhere.
    if os.access(os.path.join(root, "usr/bin/wslinfo"), os.X_OK):
        return True
    # WSL shares a tmpfs among its distros there; a folder of that name, or a disk that somebody mounted, is no sign.
    mounts = read_text(os.path.join(root, "proc/self/mounts")).splitlines()
    return any(line.split()[1:3] == ["/mnt/wsl", "tmpfs"] for line in mounts)


def platform_of(proc_version, release="", signs=False):
    """Return wsl2, wsl1 or linux, from /proc/version, the kernel's release and whether WSL's own files are there."""
    kernel = f"{release} {BUILT.sub(' ', proc_version)}".lower()
    if "microsoft-standard" in kernel or "-wsl2" in kernel:
        return "wsl2"
    if WSL1.search(kernel):
        return "wsl1"
    return "wsl2" if signs else "linux"


def platform_here():
    """Return what this machine is."""
    return platform_of(read_text("/proc/version"), read_text("/proc/sys/kernel/osrelease"), wsl_signs())
