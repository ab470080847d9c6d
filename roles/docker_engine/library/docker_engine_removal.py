#!/usr/bin/python
"""Remove what setup made according to the record, and nothing else."""

from __future__ import annotations

import errno
import os
import shlex
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.lock import remove as remove_lock
from ansible.module_utils.containai.process import run
from ansible.module_utils.containai.record import STATE_DIR, Record, digest, read, replace, sha256
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai_data_root import DEFAULT, MARKER, is_ours, mark, take_away
from ansible.module_utils.containai_docker_repository import KEYRING, SOURCES
from ansible.module_utils.containai_installed_by_setup import InstalledBySetup, reload

DOCUMENTATION = r"""
module: docker_engine_removal
short_description: Give a host back as it was before setup
description:
  - Removes the files, packages, groups and folders of C(/var/lib/containai/record.json). A file that was edited since is left, and said so. Packages on which
    others depend by now are left as well.
  - Containers' data stays unless I(purge). The record itself goes last, so that a run that was killed can be repeated.
options:
  data_root: {type: path, required: true, description: The engine's data.}
  purge: {type: bool, default: false, description: Remove the data too.}
  daemon_json: {type: path, default: /etc/docker/daemon.json, description: "Left alone: the step before, which takes the runtime out, gave it back."}
  apt_wait: {type: int, default: 300, description: Seconds to wait for another process that holds apt's lock.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- docker_engine_removal:
    data_root: /var/lib/docker-containai
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: remove, what: /etc/systemd/system/containai-docker.service}]}
notes: {type: list, elements: str, returned: always, description: what was left and why}
"""

OPT = "/opt/containerd"
OPEN = 0o755  # as the top of a new file system is


def mounts_below(path):
    """Return what is mounted at or below a path."""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as handle:
        found = [line.split()[1] for line in handle]
    return [target for target in found if target == path or target.startswith(path + "/")]


def empty(data_root):
    """Remove the data; the mark, which tells whose they are, goes last, so that an interrupted removal goes on the next time."""
    take_away(data_root, sorted(os.listdir(data_root), key=lambda name: name == MARKER))
    try:
        os.rmdir(data_root)
    except OSError:  # a mount point, or not all could go
        if not os.listdir(data_root):
            os.chmod(data_root, OPEN)  # dockerd had closed it, and who may not look into it takes it for an engine's


class Removal:
    def __init__(self, module):
        self.module, self.record = module, None
        self.dry = module.check_mode
        self.actions, self.notes, self.diff = [], [], []

    def load(self):
        self.record = Record()

    def did(self, verb, what):
        self.actions.append({"verb": verb, "what": what})

    def give_back_file(self, path, entry):
        try:
            now = read(path)
            before = read(entry["backup"]) if entry.get("backup") else None
        except PermissionError:
            if not self.dry:
                raise
            self.did("remove" if entry.get("before") is None else "change", path)  # what root will find, if nobody edited it
            return
        if now is None:
            return
        if sha256(now) not in (entry.get("after"), entry.get("before")):
            self.notes.append(f"{path} was edited since setup and is left as it is.")
            return
        if entry.get("before") not in (None, digest(before)):
            self.notes.append(f"{path} is left as it is: what stood there before setup is not in {entry.get('backup')} any more.")
            return
        if now == before:
            return
        self.did("remove" if before is None else "change", path)
        texts = [mask((data or b"").decode("utf-8", "replace")) for data in (now, before)]
        self.diff.append({"before_header": path, "after_header": path, "before": texts[0], "after": texts[1]})
        if self.dry:
            return
        if before is None:
            os.unlink(path)
        else:
            replace(path, before)

    def data_roots(self):
        """The folders of data: the setting's, and what the record knows. Ours get the mark while the unit is there to tell so."""
        roots = sorted({self.module.params["data_root"], *self.record.data.get("data_roots", [])})
        found = [root for root in roots if os.path.isdir(root)]
        for root in found:
            if not self.dry and root != DEFAULT and is_ours(root):  # the default one is known by its name
                mark(root)
        return found

    def remove_data(self, data_root):
        rm = f"`sudo rm -rf {shlex.quote(data_root)}`"
        if not self.module.params["purge"]:
            self.notes.append(f"{data_root} stays, with your images and volumes. To remove it: {rm}, or `cai uninstall --purge`.")
        elif not is_ours(data_root) and not (self.dry and not os.access(data_root, os.X_OK)):  # root will see the mark
            self.notes.append(f"{data_root} stays: it bears no mark of an engine of ours. To remove it: {rm}.")
        else:
            self.did("remove", f"{data_root} (images, containers, volumes)")
            if not self.dry:
                empty(data_root)
                if os.path.isdir(data_root) and os.listdir(data_root):
                    self.notes.append(f"Not all of {data_root} could be removed (`ls -la {shlex.quote(data_root)}` shows what is left): {rm}.")

    def remove_folders(self, kept):
        for path in self.record.data.get("folders", []):
            if not self.dry and os.path.lexists(path) and not path.startswith(kept or ("\0",)):
                self.remove_folder(path)

    @staticmethod
    def remove_folder(path):
        """What Sysbox keeps for itself goes whole; any other folder only without a file in it: it may be in use by now."""
        if os.path.isfile(path):
            os.unlink(path)
        elif path == OPT:  # containerd makes empty folders there; others put their programs into them
            for folder, _, files in os.walk(path, topdown=False):
                if not files and not os.listdir(folder):
                    os.rmdir(folder)
        elif path.startswith(("/var/lib/sysbox", "/run/sysbox")):
            for mounted in sorted(mounts_below(path), reverse=True):  # what a killed sysbox-fs left
                run(["umount", "--lazy", mounted])
            shutil.rmtree(path, ignore_errors=True)
        elif not os.listdir(path):
            os.rmdir(path)

    def forget(self):
        if os.path.isdir(STATE_DIR):
            self.did("remove", STATE_DIR)
            if not self.dry:
                shutil.rmtree(STATE_DIR)


def main():
    module = AnsibleModule(
        argument_spec={
            "data_root": {"type": "path", "required": True},
            "purge": {"type": "bool", "default": False},
            "daemon_json": {"type": "path", "default": "/etc/docker/daemon.json"},
            "apt_wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    hold(module)
    removal = Removal(module)
    try:
        removal.load()
        data_roots = removal.data_roots()
        files = removal.record.data.get("files", {})
        for path in sorted({*files} - {module.params["daemon_json"], SOURCES, KEYRING}):
            removal.give_back_file(path, files[path])
        brought = InstalledBySetup(removal.record, removal.did, removal.notes, removal.dry, module.params["apt_wait"])
        brought.remove()
        for path in (SOURCES, KEYRING):
            if path in files and not brought.keeps_repository:
                removal.give_back_file(path, files[path])
        for data_root in data_roots:
            removal.remove_data(data_root)
        removal.remove_folders(brought.folders)
        if not removal.dry:
            reload()
        removal.forget()
        remove_lock()
    except Failure as failure:
        module.fail_json(**failure.told)
    except OSError as error:
        if not (removal.dry and isinstance(error, PermissionError)):
            look = "lsattr -d" if error.errno == errno.EPERM else "ls -ld"  # of root: somebody made it immutable
            module.fail_json(
                msg=f"{error.filename} cannot be removed: {error.strerror}.",
                hint=f"run `{look} {error.filename}`, mend it, then `cai uninstall` again",
                failure="failed",
            )
        module.warn(f"{error.filename} cannot be read without root rights; the run itself will go on from there.")
    module.exit_json(changed=bool(removal.actions), actions=removal.actions, notes=removal.notes, diff=removal.diff)


if __name__ == "__main__":
    main()
