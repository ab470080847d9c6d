"""The record of what setup changed on a host, kept for uninstall, and the one way our modules write files.

The record is /var/lib/containai/record.json: {"version": 1, "files": {path: {"before": sha256|null, "after": sha256|null, "backup": path|null}},
"packages": [...], "groups": [...], "members": {group: [user]}, "diversions": [...], "settled": {...}}. Every entry is written *before* the
change it speaks of, so a run that was killed in between is known to the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile

STATE_DIR = "/var/lib/containai"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    """Return the file's bytes, or None where there is no such file."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def replace(path, data, mode=0o644):
    """Put `data` at `path` in one step: a reader, or a crash, sees the old file or the new one.

    The mode and owner of a file that is there stay; a symbolic link stays, and the file it points to is replaced.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=".containai-", dir=folder)
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            there = os.stat(path)
            os.chown(temporary, there.st_uid, there.st_gid)
            os.chmod(temporary, stat.S_IMODE(there.st_mode))
        except FileNotFoundError:
            os.chmod(temporary, mode)
        os.rename(temporary, path)
        sync_folder(folder)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def sync_folder(folder):
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Record:
    """What setup made on this host; load, note, save."""

    def __init__(self, state_dir=STATE_DIR):
        self.state_dir = state_dir
        self.path = os.path.join(state_dir, "record.json")
        data = read(self.path)
        self.data = json.loads(data) if data else {"version": 1}
        self.saved = data

    def note_file(self, path, before, after):
        """Note that `path` changes from the bytes `before` (None: absent) to `after`; the first `before` is kept as a backup."""
        entry = self.data.setdefault("files", {}).setdefault(path, {"before": before and sha256(before), "backup": None})
        ours = entry.get("after")
        if before is not None and entry["backup"] is None and entry["before"] == sha256(before):
            entry["backup"] = self.backup(path, before)
        elif before is not None and ours is not None and sha256(before) != ours:
            entry["edited"] = self.backup(path, before)  # somebody's edit since: kept, never the state to go back to blindly
        entry["after"] = after and sha256(after)

    def backup(self, path, data):
        name = f"{os.path.basename(path)}.{sha256(data)[:12]}"
        target = os.path.join(self.state_dir, "backup", name)
        if read(target) != data:
            self.make_dir("backup")
            replace(target, data, mode=0o600)
        return target

    def note(self, kind, value):
        """Add `value` to the list `kind`, once."""
        values = self.data.setdefault(kind, [])
        if value not in values:
            values.append(value)

    def forget(self, kind, value):
        if value in self.data.get(kind, []):
            self.data[kind].remove(value)

    def make_dir(self, name=""):
        folder = os.path.join(self.state_dir, name)
        os.makedirs(folder, mode=0o700 if name else 0o755, exist_ok=True)

    def save(self):
        data = (json.dumps(self.data, indent=2, sort_keys=True) + "\n").encode()
        if data != self.saved:
            self.make_dir()
            replace(self.path, data)
            self.saved = data
