"""What Sysbox needs of a host: a file system for its data on which overlays can be made, and features of the kernel."""

from __future__ import annotations

import os
import re

from ansible.module_utils.containai.errors import Failure

ROOT = "/"
DATA = "/var/lib/sysbox"
# sysbox-mgr ends at once on these: an inner Docker could not make its overlays there.
REFUSED = {"overlay": "overlayfs", "tmpfs": "tmpfs", "ramfs": "ramfs", "shiftfs": "shiftfs"}
# Feature of the kernel: what shows it, and the module that would bring it.
FEATURES = {
    "user namespaces (CONFIG_USER_NS)": ("proc/self/ns/user", ""),
    "time namespaces (CONFIG_TIME_NS)": ("proc/self/ns/time", ""),
    "seccomp filters with a listener (CONFIG_SECCOMP_FILTER)": ("proc/sys/kernel/seccomp/actions_avail:user_notif", ""),
    "FUSE (CONFIG_FUSE_FS)": ("proc/filesystems:fuse", "fuse"),
    "overlayfs (CONFIG_OVERLAY_FS)": ("proc/filesystems:overlay", "overlay"),
}


def text_of(path):
    """Return a file's text; None where it cannot be read."""
    try:
        with open(os.path.join(ROOT, path.lstrip("/")), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def file_system(path, mountinfo):
    """Return the kind of the file system that a path is on, or would be made on; empty where that cannot be told."""
    path = os.path.realpath(path)
    kinds = {line.split()[4]: line.partition(" - ")[2].split()[0] for line in mountinfo.splitlines() if " - " in line}  # the last mount counts
    while path not in kinds and path != "/":
        path = os.path.dirname(path)
    return kinds.get(path, "")


def lacks(shown, module, kernel):
    """Whether the kernel lacks a feature, and no module is there to bring it."""
    path, _, word = shown.partition(":")
    found = text_of(path)
    if not word:
        return not os.path.lexists(os.path.join(ROOT, path))
    if found is None:  # no /proc to look at, or not for this user
        return False
    if re.search(rf"(?m)\b{word}$|\b{word}\s", found):
        return False
    modules = [text_of(f"lib/modules/{kernel}/{name}") for name in ("modules.dep", "modules.builtin")]
    return not module or not any(re.search(rf"(?m)/{module}\.ko", text) for text in modules if text)


def check_needs(params):
    """Refuse a host on which no container of this Sysbox would start."""
    kind = file_system(DATA, text_of("proc/self/mountinfo") or "")
    if kind in REFUSED:
        raise Failure(
            f"{DATA} is on {REFUSED[kind]}, which Sysbox refuses; a disk's file system (ext4, xfs, btrfs) is needed there.",
            f"mount one, for instance a folder of a disk: `sudo mkdir -p {DATA} && sudo mount --bind /mnt/disk/sysbox {DATA}`, "
            "with a line for it in /etc/fstab",
            "precondition",
        )
    kernel = os.uname().release
    missing = [name for name, (shown, module) in FEATURES.items() if lacks(shown, module, kernel)]
    if missing:
        raise Failure(
            f"The kernel {kernel} has no {', no '.join(missing)}; Sysbox {params['version']} needs that.",
            "run `wsl --update` in Windows (WSL2), or boot the distribution's own kernel (`sudo apt-get install --reinstall linux-image-$(uname -r)`)",
            "precondition",
        )
