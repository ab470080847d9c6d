#!/usr/bin/python
"""Install Homebrew formulae that are missing, and nothing else."""

from __future__ import annotations

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.process import run
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai_limactl import version

DOCUMENTATION = r"""
module: lima_vm_brew
short_description: Install missing Homebrew formulae
description:
  - Homebrew is called by its absolute path, without updating itself and without questions. Nothing that is there is upgraded, and no cask is touched.
  - An installed Lima older than I(minimum_lima) (from formula definitions that were not updated for long) is a failure with the upgrade command.
options:
  brew: {type: str, default: '', description: Path of brew; may be empty in check mode.}
  formulae: {type: list, elements: str, required: true, description: What is missing.}
  limactl: {type: str, default: '', description: limactl as found before.}
  minimum_lima: {type: str, default: 2.0.0, description: Oldest Lima.}
  timeout: {type: int, default: 3600, description: Seconds.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: no file of ours is changed}
"""
EXAMPLES = r"""
- lima_vm_brew:
    brew: /opt/homebrew/bin/brew
    formulae: [lima]
"""
RETURN = r"""
limactl: {type: str, returned: always, description: limactl as it is now; empty in check mode where it is missing, sample: /opt/homebrew/bin/limactl}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: install, what: lima (Homebrew)}]}
"""

QUIET = {"NONINTERACTIVE": "1", "HOMEBREW_NO_AUTO_UPDATE": "1", "HOMEBREW_NO_INSTALL_CLEANUP": "1", "HOMEBREW_NO_ENV_HINTS": "1"}


def install(module, brew, formula):
    environment = {
        **os.environ,
        **QUIET,
        "PATH": os.pathsep.join([os.path.dirname(brew), os.environ.get("PATH", ""), "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
    }
    hint = f"run `{brew} install {formula}` to see more, then `cai setup` again"
    try:
        done = run([brew, "install", formula], env=environment, timeout=module.params["timeout"])
    except (OSError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=f"`brew install {formula}` did not end: {error}", hint=hint, failure="failed")
    if done.returncode != 0:
        said = mask("\n".join((done.stderr or done.stdout).strip().splitlines()[-6:]))
        module.fail_json(msg=f"`brew install {formula}` failed:\n{said}", hint=hint, failure="failed")


def main():
    module = AnsibleModule(
        argument_spec={
            "brew": {"type": "str", "default": ""},
            "formulae": {"type": "list", "elements": "str", "required": True},
            "limactl": {"type": "str", "default": ""},
            "minimum_lima": {"type": "str", "default": "2.0.0"},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    params = module.params
    brew, limactl = params["brew"], params["limactl"]
    actions = [{"verb": "install", "what": f"{formula} (Homebrew)"} for formula in params["formulae"]]
    if actions and not module.check_mode:
        for formula in params["formulae"]:
            install(module, brew, formula)
        if "lima" in params["formulae"]:
            limactl = os.path.join(os.path.dirname(brew), "limactl")
            found = version(limactl)
            if [int(part) for part in found.split(".") if part] < [int(part) for part in params["minimum_lima"].split(".")]:
                module.fail_json(
                    msg=f"Homebrew installed Lima {found or 'of unknown version'}; {params['minimum_lima']} or newer is needed.",
                    hint=f"run `{brew} update && {brew} upgrade lima`, then `cai setup` again", failure="failed",
                )  # fmt: skip
    module.exit_json(changed=bool(actions), actions=actions, limactl=limactl)


if __name__ == "__main__":
    main()
