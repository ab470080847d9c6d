#!/usr/bin/python
"""Let Sysbox mount its file systems where AppArmor confines fusermount3."""

from __future__ import annotations

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.process import run
from ansible.module_utils.containai.record import Record, read, replace

DOCUMENTATION = r"""
module: sysbox_apparmor
short_description: Add a local rule for Sysbox to the AppArmor profile of fusermount3
description:
  - Ubuntu 25.04 and newer confine fusermount3, by which sysbox-fs mounts below C(/var/lib/sysboxfs), and deny that (nestybox/sysbox issues 947 and 1005).
  - Where that profile is loaded, a block of three rules is added to C(/etc/apparmor.d/local/fusermount3), which the profile includes, and the profile is
    loaded again. Other rules in that file stay. The profile itself is never touched.
  - On a host whose kernel has not loaded that profile nothing is read further or changed.
options:
  state: {type: str, choices: [present, absent], default: present, description: "C(absent) takes the block out, where the record says that setup put it there."}
  report: {type: bool, default: false, description: "Return C(findings) for a health report; nothing is changed."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- sysbox_apparmor:
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: AppArmor, status: pass, found: fusermount3 may mount for Sysbox, hint: ""}]}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: /etc/apparmor.d/local/fusermount3}]}
"""

PROFILE, LOCAL = "/etc/apparmor.d/fusermount3", "/etc/apparmor.d/local/fusermount3"
LOADED, ENABLED = "/sys/kernel/security/apparmor/profiles", "/sys/module/apparmor/parameters/enabled"
# The rules that Sysbox's authors give in issue 947.
BLOCK = b"""# Made by cai: sysbox-fs mounts below /var/lib/sysboxfs.
mount fstype=@{fuse_types} options=(nosuid,nodev,rw) -> /var/lib/sysboxfs/**/,
mount fstype=@{fuse_types} options=(nosuid,nodev,ro) -> /var/lib/sysboxfs/**/,
umount /var/lib/sysboxfs/**/,
# End of what cai made.
"""
PENDING = "apparmor_reload"


def confined():
    """Whether the kernel has the profile, and the profile takes local rules."""
    if b"local/fusermount3" not in (read(PROFILE) or b""):
        return False
    try:
        return b"fusermount3 (" in (read(LOADED) or b"")
    except OSError:  # root's to read; a plan and a health report by another user go by what everybody may see
        return (read(ENABLED) or b"").strip() == b"Y"


def reload():
    """Have the kernel take the profile with its local rules. Return what the parser says; empty if all is well."""
    try:
        done = run(["apparmor_parser", "--replace", PROFILE], timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"


def put(data):
    """Write the file; None removes it."""
    if data is not None:
        replace(LOCAL, data)
    elif os.path.exists(LOCAL):
        os.unlink(LOCAL)


def described(before, after):
    text = [(data or b"").decode("utf-8", "replace") for data in (before, after)]
    verb = "remove" if after is None else "create" if before is None else "change"
    return {
        "actions": [{"verb": verb, "what": LOCAL}],
        "diff": [{"before_header": LOCAL, "after_header": LOCAL, "before": text[0], "after": text[1]}],
    }


def present(check_mode):
    if not confined():
        return {"changed": False, "actions": []}
    record, before = Record(), read(LOCAL)
    there = BLOCK in (before or b"")
    if there and not record.data.get(PENDING):
        return {"changed": False, "actions": []}
    text = before or b""
    after = text if there else text + (b"" if not text or text.endswith(b"\n") else b"\n") + BLOCK
    if not check_mode:
        record.data[PENDING] = True  # a run that is killed before the profile is loaded leaves that to the next
        if not there:
            record.note_file(LOCAL, before, after)
        record.save()
        put(after)
        problem = reload()
        if problem:
            put(before)  # the profile would not load at the next boot either
            raise Failure(
                f"AppArmor does not take the rule for Sysbox in {LOCAL}, which is as it was: {problem}",
                f"run `sudo apparmor_parser --replace {PROFILE}` to see whether the profile loads without it",
            )
        del record.data[PENDING]
        record.save()
    return {"changed": True, **(described(before, after) if not there else {"actions": [{"verb": "reload", "what": PROFILE}]})}


def absent(check_mode):
    record, before = Record(), read(LOCAL)
    entry = record.data.get("files", {}).get(LOCAL)
    if entry is None or before is None or BLOCK not in before:
        return {"changed": False, "actions": []}
    after = before.replace(BLOCK, b"")
    after = None if not after and entry.get("before") is None else after
    if not check_mode:
        put(after)
        if confined():
            reload()  # fewer rules; a profile that somebody broke meanwhile stays loaded as it was
    return {"changed": True, **described(before, after)}


def report():
    if not confined():
        return []
    if BLOCK in (read(LOCAL) or b""):
        return [{"part": "AppArmor", "status": "pass", "found": "fusermount3 may mount for Sysbox", "hint": ""}]
    return [
        {"part": "AppArmor", "status": "fail", "found": f"the profile of fusermount3 denies Sysbox its mounts; {LOCAL} has no rule", "hint": "run `cai setup`"}
    ]


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "report": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    hold(module)
    try:
        if module.params["report"]:
            module.exit_json(changed=False, actions=[], findings=report())
        change = present if module.params["state"] == "present" else absent
        module.exit_json(**change(module.check_mode))
    except Failure as failure:
        module.fail_json(**failure.told)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or LOCAL} cannot be used: {error.strerror}.",
            hint=f"run `ls -ld {os.path.dirname(LOCAL)} {LOCAL}`, mend it, then try again",
            failure="failed",
        )


if __name__ == "__main__":
    main()
