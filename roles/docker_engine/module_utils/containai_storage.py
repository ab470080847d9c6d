"""Whether an engine can keep images and containers on a file system, and whether the host has a storage driver. Only the kernel's tables are read."""

from __future__ import annotations

import os
import re

# overlay2 needs extended attributes, whiteouts and renames that these do not have, or not for root; dockerd would fall back to whole copies (vfs).
UNFIT = (
    "fuse",
    "ntfs",
    "9p",
    "drvfs",
    "virtiofs",
    "nfs",
    "cifs",
    "smb",
    "vfat",
    "exfat",
    "msdos",
    "hfs",
    "overlay",
    "aufs",
    "ecryptfs",
    "squashfs",
    "iso9660",
    "vboxsf",
    "vmhgfs",
    "prl_fs",
)
REMOVED = ("aufs", "devicemapper", "overlay")
OWN = {"btrfs": "btrfs", "zfs": "zfs"}


def file_system(path, mounts="/proc/self/mountinfo"):
    """Return the type of the file system that holds a path, which need not be there yet; an empty text if that cannot be told."""
    real, found = os.path.realpath(path), ("", "")
    try:
        with open(mounts, encoding="utf-8", errors="replace") as handle:
            for line in handle:
                left, _, right = line.partition(" - ")
                place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), left.split()[4])
                inside = real == place or real.startswith(place.rstrip("/") + "/")
                if inside and len(place) >= len(found[0]):  # a later mount on the same place covers an earlier one
                    found = (place, right.split()[0])
    except (OSError, IndexError):
        return ""
    return found[1]


def is_unfit(kind):
    """Whether a file system cannot hold the engine's data."""
    return kind.partition(".")[0].startswith(UNFIT) and kind != "nfsd"


def driver_problem(driver, kind):
    """Say why the host has no such storage driver; an empty text if it may have it."""
    if driver in REMOVED:
        return "which Docker has no more"
    if driver in OWN and kind != OWN[driver]:
        return f"which needs the engine's data on {OWN[driver]}; they are on {kind or 'another file system'}"
    return ""
