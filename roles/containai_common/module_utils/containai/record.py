"""The record of what setup changed on a host, kept for uninstall, and the one way our modules write files.

The record is /var/lib/containai/record.json: {"version": 1, "files": {path: {"before": sha256|null, "after": sha256|null, "backup": path|null}},
"contexts": [{"name", "user", "folder", "before", "after"}], "packages": [...], "groups": [...], "users": [...], "members": [[group, user]],
"diversions": [...], "folders": [...], "installing": {...}}. Every entry is written *before* the change it speaks of, so a run that was
killed in between is known to the next one.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import stat
import tempfile

from ansible.module_utils.containai.process import run

STATE_DIR = "/var/lib/containai"
# What Docker, containerd and Sysbox leave behind beside their packages' files. Removed with the packages where it was not there before.
FOLDERS = (
    "/etc/docker/key.json", "/etc/docker", "/etc/containerd", "/etc/cni/net.d", "/etc/cni", "/var/lib/docker", "/var/lib/containerd", "/opt/containerd",
    "/var/lib/sysbox", "/var/lib/sysboxfs", "/run/sysbox", "/run/sysbox-runc", "/usr/local/libexec/containai", "/usr/local/libexec",
    "/etc/systemd/system/sysbox-mgr.service.d", "/etc/systemd/system/sysbox-fs.service.d", "/etc/apt/keyrings",
)  # fmt: skip


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def digest(data):
    """The SHA-256 of a file's bytes; None for a file that is not there, which an empty one is not."""
    return None if data is None else sha256(data)


def read(path):
    """Return the file's bytes, or None where there is no such file."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def make_folders(path, mode=0o755):
    """Make a folder with that mode, and those above it that are missing with mode 0755, whatever the umask is."""
    if not os.path.isdir(path):
        make_folders(os.path.dirname(path))
        os.mkdir(path, 0o700)
        os.chmod(path, mode)


def keep_attributes(fd, path):
    """Give the open file the extended attributes of the one at `path`: its ACL, labels, what users noted. A file system without them is left."""
    if not hasattr(os, "listxattr"):  # macOS
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(fd, name, os.getxattr(path, name))


def replace(path, data, mode=0o644, ours=False):
    """Put `data` at `path` in one step: a reader, or a crash, sees the old file or the new one.

    Mode, owner, ACL and extended attributes of a file that is there stay; a symbolic link stays, and the file it points to is replaced. With `ours` the
    file is cai's own, and gets the mode and the owner that it has to have before anything is in it.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    make_folders(folder)
    fd, temporary = tempfile.mkstemp(prefix=".containai-", dir=folder)
    try:
        with os.fdopen(fd, "wb") as handle:
            # By descriptor: in a folder that is not root's, the name may be another file's by now.
            there = None
            with contextlib.suppress(FileNotFoundError):
                there = None if ours else os.stat(path)
            if there is None:
                os.fchmod(fd, mode)
            else:
                os.fchown(fd, there.st_uid, there.st_gid)
                os.fchmod(fd, stat.S_IMODE(there.st_mode))
                keep_attributes(fd, path)
            handle.write(data)
            handle.flush()
            os.fsync(fd)
        os.rename(temporary, path)
        sync_folder(folder)
    except BaseException as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError) and not error.filename:  # a full disk is met in a write, which knows no names
            error.filename = path
        raise


def sync_folder(folder):
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def inventory():
    """What packages can bring: the packages, groups and users of the host."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"]
    listing = run(query).stdout
    return {
        # Half-installed ones too: an apt that was cut off leaves them. "rc" and "un" are gone.
        "packages": [line[3:].strip() for line in listing.splitlines() if line[1:2] not in ("n", "c", "")],
        "groups": [entry.gr_name for entry in grp.getgrall()],
        "users": [entry.pw_name for entry in pwd.getpwall()],
    }


class Record:
    """What setup made on this host; load, note, save. It is in STATE_DIR, or where a Mac's user has it."""

    def __init__(self, state_dir=None):
        self.state_dir = state_dir or STATE_DIR
        self.path = os.path.join(self.state_dir, "record.json")
        data = read(self.path)
        self.data = self._parse(data)
        self.saved = data

    def _parse(self, data):
        """A record that cannot be read stops the run: without it nothing could be taken back."""
        try:
            value = json.loads(data) if data else {"version": 1}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise OSError(errno.EBADMSG, "it is damaged (not JSON); move it away, and cai starts a new one", self.path)
        return value

    def note_file(self, path, before, after):
        """Note that `path` changes from the bytes `before` (None: absent) to `after`; the first `before` is kept as a backup."""
        entry = self.data.setdefault("files", {}).setdefault(path, {"before": digest(before), "backup": None})
        ours = entry.get("after")
        if before is not None and entry["backup"] is None and entry["before"] == sha256(before):
            entry["backup"] = self.backup(path, before)
        elif before is not None and ours is not None and digest(before) not in (ours, entry["before"]):
            entry["edited"] = self.backup(path, before)  # somebody's edit since: kept, never the state to go back to blindly
        entry["after"] = digest(after)

    def backup(self, path, data):
        name = f"{os.path.basename(path)}.{sha256(data)[:12]}"
        target = os.path.join(self.state_dir, "backup", name)
        if read(target) != data:
            self.make_dir("backup")
            replace(target, data, mode=0o600)
        return target

    def begin_installation(self, name, **more):
        """Open a change by a package manager: what is on the host now is kept, so that `end_installation` can tell what came.

        Opened again by a run that follows a killed one, it keeps what the first one saw. Returns what is kept.
        """
        pending = self.data.setdefault("installing", {})
        if name not in pending:
            pending[name] = {**inventory(), **more}
            self.save()
        return pending[name]

    def unfinished_installation(self, name):
        return name in self.data.get("installing", {})

    def end_installation(self, name):
        """Close it: note every package, group and user that came since."""
        self.count(name)
        self.save()

    def count(self, name):
        """Note what came since, without saving it."""
        before, now = self.data["installing"].pop(name), inventory()
        for kind in ("packages", "groups", "users"):
            for value in sorted(set(now[kind]) - set(before[kind])):
                self.note(kind, value)

    def count_cut_off(self):
        """Note what came of every change that is still open: a setup that was cut off. Not saved, so that an interrupted removal starts over."""
        for name in list(self.data.get("installing", {})):
            self.count(name)

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
        if not os.path.isdir(folder):
            make_folders(self.state_dir)
            os.makedirs(folder, mode=0o700, exist_ok=True)

    def save(self):
        """Write the record. The first time, before the first change, note which of the usual folders are not there."""
        if self.state_dir == STATE_DIR:  # one of a Mac's user knows contexts only
            self.data.setdefault("folders", [path for path in FOLDERS if not os.path.lexists(path)])
        data = (json.dumps(self.data, indent=2, sort_keys=True) + "\n").encode()
        if data != self.saved:
            self.make_dir()
            replace(self.path, data)
            self.saved = data
