#!/usr/bin/python
"""Let Sysbox mount its file systems where AppArmor confines fusermount3."""

from __future__ import annotations

import os
import subprocess

from ansible.module_utils import containai_sysbox_apparmor as profile
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
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- sysbox_apparmor:
"""
RETURN = r"""
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: create, what: /etc/apparmor.d/local/fusermount3}]}
"""

PENDING = "apparmor_reload"


def reload():
    """Have the kernel take the profile with its local rules. Return what the parser says; empty if all is well."""
    try:
        done = run(["apparmor_parser", "--replace", profile.PROFILE], timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"


def put(data):
    """Write the file; None removes it."""
    if data is not None:
        replace(profile.LOCAL, data)
    elif os.path.exists(profile.LOCAL):
        os.unlink(profile.LOCAL)


def described(before, after):
    text = [(data or b"").decode("utf-8", "replace") for data in (before, after)]
    verb = "remove" if after is None else "create" if before is None else "change"
    return {
        "actions": [{"verb": verb, "what": profile.LOCAL}],
        "diff": [{"before_header": profile.LOCAL, "after_header": profile.LOCAL, "before": text[0], "after": text[1]}],
    }


def present(check_mode):
    if not profile.confined():
        return {"changed": False, "actions": []}
    record, before = Record(), read(profile.LOCAL)
    there = profile.BLOCK in (before or b"")
    if there and not record.data.get(PENDING):
        return {"changed": False, "actions": []}
    text = before or b""
    after = text if there else text + (b"" if not text or text.endswith(b"\n") else b"\n") + profile.BLOCK
    if not check_mode:
        record.data[PENDING] = True  # a run that is killed before the profile is loaded leaves that to the next
        if not there:
            record.note_file(profile.LOCAL, before, after)
        record.save()
        put(after)
        problem = reload()
        if problem:
            put(before)  # the profile would not load at the next boot either
            raise Failure(
                f"AppArmor does not take the rule for Sysbox in {profile.LOCAL}, which is as it was: {problem}",
                f"run `sudo apparmor_parser --replace {profile.PROFILE}` to see whether the profile loads without it",
            )
        del record.data[PENDING]
        record.save()
    return {"changed": True, **(described(before, after) if not there else {"actions": [{"verb": "reload", "what": profile.PROFILE}]})}


def absent(check_mode):
    record, before = Record(), read(profile.LOCAL)
    entry = record.data.get("files", {}).get(profile.LOCAL)
    if entry is None or before is None or profile.BLOCK not in before:
        return {"changed": False, "actions": []}
    after = before.replace(profile.BLOCK, b"")
    after = None if not after and entry.get("before") is None else after
    if not check_mode:
        put(after)
        if profile.confined():
            reload()  # fewer rules; a profile that somebody broke meanwhile stays loaded as it was
    return {"changed": True, **described(before, after)}


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    hold(module)
    try:
        change = present if module.params["state"] == "present" else absent
        module.exit_json(**change(module.check_mode))
    except Failure as failure:
        module.fail_json(**failure.told)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or profile.LOCAL} cannot be used: {error.strerror}.",
            hint=f"run `ls -ld {os.path.dirname(profile.LOCAL)} {profile.LOCAL}`, mend it, then try again",
            failure="failed",
        )


if __name__ == "__main__":
    main()
