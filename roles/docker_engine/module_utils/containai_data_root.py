"""Whose a folder for the engine's data is. A purge empties it, so nothing but our own mark says that it is ours."""

from __future__ import annotations

import contextlib
import os
import shutil

from ansible.module_utils.containai.record import make_folders, replace

DEFAULT = "/var/lib/docker-containai"
UNIT = "/etc/systemd/system/containai-docker.service"
MARKER = ".containai"
# There until an engine has once answered from here: what a first start that failed left (a full disk tears dockerd's databases) is nobody's data.
UNUSED = ".containai-unused"
TEXT = b"Made by cai: the data of containai-docker.service. `cai uninstall --purge` removes this folder with all that is in it.\n"
# What others keep their own in: not to be this folder, nor in it, nor below it.
OTHERS = (
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/sysbox", "/var/lib/sysboxfs", "/var/lib/containai", "/var/lib/dpkg",
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/snap", "/sys", "/usr", "/var/cache", "/var/log", "/var/spool",
)  # fmt: skip
SHARED = ("/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var/tmp")  # noqa: S108 - none is used

# What dockerd and containerd make in their folder.
DOCKERS = {
    "btrfs", "builder", "buildkit", "containerd", "containers", "engine-id", "fuse-overlayfs", "image", "lost+found", "network", "overlay2", "plugins",
    "rootfs", "runtimes", "swarm", "tmp", "trust", "vfs", "volumes", "zfs",
}  # fmt: skip


def _within(path, folder):
    return os.path.commonpath([path, folder]) == folder


def claimed(path):
    """Return the folder of others that `path` is, holds or lies in; None for a place of its own."""
    real = os.path.realpath(path)
    for place in (*OTHERS, *SHARED):
        folder = os.path.realpath(place)
        if _within(folder, real) or (place in OTHERS and _within(real, folder)):
            return place
    return None


def is_ours(path):
    """Whether a purge may empty it: it bears our mark, our name, or, where setup was of a time before the mark, our unit names it and nothing else is there."""
    if claimed(path):
        return False
    if os.path.isfile(os.path.join(path, MARKER)) or os.path.normpath(path) == DEFAULT:
        return True
    return path in _of_unit() and set(os.listdir(path)) <= DOCKERS


def holds_data(path):
    """Whether the secure engine has ever answered from here. Then its data stay where they are."""
    return path in _of_unit() and os.path.lexists(os.path.join(path, MARKER)) and not unused(path)


def is_shared(path):
    """Whether files of others are there. An ordinary user may not look into a dockerd's folder, and gets False."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        return not is_ours(path) and bool(set(os.listdir(path)) - {"lost+found"})
    return False


def refused(path):
    """Say why an engine beside others cannot keep its data there; None where it can, or does already."""
    place = claimed(path)
    if place:
        return f"and {place} is in use by others"
    if is_shared(path) and path not in _of_unit():
        return "where files are that are not the engine's"
    return "which is not a folder" if os.path.lexists(path) and not os.path.isdir(path) else None


def mark(path):
    """Put our mark there, once; the folder is made as dockerd makes it."""
    make_folders(path, 0o710)
    if not _of_engines(path):
        replace(os.path.join(path, UNUSED), b"")
    if not os.path.lexists(os.path.join(path, MARKER)):
        replace(os.path.join(path, MARKER), TEXT)


def used(path):
    """An engine has answered from here: what is in it is its user's from now on."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(path, UNUSED))


def unused(path):
    """Whether no engine has ever answered from here."""
    return os.path.lexists(os.path.join(path, UNUSED))


def begin_anew(path):
    """Remove what engines left in a folder from which none has ever answered."""
    if unused(path):
        take_away(path, _of_engines(path))


def take_away(path, names):
    """Remove these entries of the folder; what cannot go (a mount) stays."""
    for name in names:
        target = os.path.join(path, name)
        if os.path.isdir(target) and not os.path.islink(target):
            shutil.rmtree(target, ignore_errors=True)
        else:
            os.unlink(target)


def _of_engines(path):
    return (set(os.listdir(path)) & DOCKERS) - {"lost+found"}


def _of_unit():
    with contextlib.suppress(OSError), open(UNIT, encoding="utf-8", errors="replace") as handle:
        words = handle.read().split()
        return [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--data-root"]
    return []
