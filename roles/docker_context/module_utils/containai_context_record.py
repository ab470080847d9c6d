"""The contexts in the record of what setup made: noted before the first change, given back at an uninstall.

An entry is {"name", "user", "folder", "before": null | {"state", "backup"}, "after": state}; the backup is a tar archive of the context as it was.
"""

from __future__ import annotations

import os
import shutil

from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.record import read
from ansible.module_utils.containai_contexts import Contexts, refuse_active, show


def note(record, contexts, name, there, wanted):
    """Note that a context is to become `wanted`; what the first run met stays what an uninstall goes back to."""
    entries = record.data.setdefault("contexts", [])
    entry = next((one for one in entries if (one["name"], one["folder"]) == (name, contexts.folder)), None)
    if entry is None:
        before = None if there is None else {"state": there, "backup": record.backup(f"context-{name}.tar", contexts.pack(name))}
        entry = {"name": name, "user": contexts.entry.pw_name, "folder": contexts.folder, "before": before}
        entries.append(entry)
    entry["after"] = wanted
    record.save()


def noted(record, contexts, name, wanted):
    """Whether the record knows that setup made the context what it is wanted to be."""
    entries = record.data.get("contexts", [])
    return any((one["name"], one["folder"], one["after"]) == (name, contexts.folder, wanted) for one in entries)


class GivingBack:
    """One context of the record, and what has to be done about it."""

    def __init__(self, entry, contexts, check_mode):
        self.entry, self.contexts, self.name, self.before = entry, contexts, entry["name"], entry["before"]
        try:
            self.there = contexts.read(self.name)
        except PermissionError:
            if not check_mode:
                raise
            self.there = entry["after"]  # what root will find, if nobody edited it
        self.step = self._decide()

    def _decide(self):
        """Return remove, restore, leave (somebody edited it) or None (nothing that setup made is there)."""
        if self.entry.get("restoring"):  # a run that was killed may have left anything
            return "restore"
        if self.there is None or (self.before and self.there == self.before["state"]):
            return None
        if self.there not in ({}, self.entry["after"]):
            return "leave"
        return "restore" if self.before else "remove"

    def do(self, record):
        if self.step == "remove":
            self.contexts.remove(self.name)
        elif self.step == "restore":
            archive = read(self.before["backup"])
            if archive is None:
                raise Failure(
                    f"What the context {self.name} was before setup is not in {self.before['backup']} any more.", f"run `docker context rm {self.name}`"
                )
            self.entry["restoring"] = True
            record.save()
            self.contexts.unpack(self.name, archive)
        record.data["contexts"].remove(self.entry)
        record.save()

    def told(self):
        """Return (action, diff), or None."""
        if self.step not in ("remove", "restore"):
            return None
        header = f"docker context {self.name}"
        after = show(self.before["state"]) if self.before else ""
        verb = "remove" if self.step == "remove" else "change"
        return {"verb": verb, "what": header}, {"before_header": header, "after_header": header, "before": show(self.there), "after": after}


def give_back(record, program, check_mode):
    """Remove the contexts of the record, or restore what was there before. An edited one stays. Return (actions, diffs, notes)."""
    plan, notes = [], []
    for entry in record.data.get("contexts", []):
        try:
            one = GivingBack(entry, Contexts(entry["user"], entry["folder"], program), check_mode)
        except KeyError:
            notes.append(f"The docker context {entry['name']} stays: its user {entry['user']} is not on this host any more.")
            continue
        if one.step == "remove":
            refuse_active(one.contexts, one.name)
        elif one.step == "leave":
            notes.append(f"The docker context {one.name} was edited since setup and is left as it is.")
        plan.append(one)
    if not check_mode:
        for one in plan:
            one.do(record)
        _close(record)
    told = list(filter(None, (one.told() for one in plan)))
    return [action for action, _ in told], [diff for _, diff in told], notes


def _close(record):
    """Leave no empty record behind where it held contexts only, as on a Mac."""
    if set(record.data) <= {"version", "contexts"} and not record.data.get("contexts"):
        shutil.rmtree(os.path.join(record.state_dir, "backup"), ignore_errors=True)
        if os.path.exists(record.path):
            os.unlink(record.path)
