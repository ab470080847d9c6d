#!/usr/bin/python
"""A stub module of the tests: returns, or fails with, whatever it is told."""

import subprocess

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "result": {"type": "dict", "default": {}},
            "failure": {"type": "dict"},
            "warnings": {"type": "list", "elements": "str", "default": []},
            "sleep": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    for text in module.params["warnings"]:
        module.warn(text)
    if module.params["sleep"] and not module.check_mode:
        # A process that a list of processes shows; in a session of its own, as what is below sudo: no signal of a terminal or of Ansible's worker reaches it.
        subprocess.Popen(["sleep", str(module.params["sleep"])], start_new_session=True).wait()
    if module.params["failure"]:
        module.fail_json(**module.params["failure"])
    module.exit_json(**module.params["result"])


if __name__ == "__main__":
    main()
