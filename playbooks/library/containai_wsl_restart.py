#!/usr/bin/python
"""Decide whether a distro, or all of WSL, may be restarted: never under containers, and no distro that nobody named."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure

DOCUMENTATION = r"""
module: containai_wsl_restart
short_description: Refuse a restart of WSL that would end containers, or distros that were not named
description:
  - Reads what the distros that would stop said about their containers. One that gave no whole answer counts as one in
    which containers may run.
  - Restarts nothing itself.
options:
  restart: {type: str, required: true, choices: [distro, wsl], description: What would be restarted.}
  distribution: {type: str, default: "", description: The distro of this host.}
  windows: {type: bool, required: true, description: Whether the host is reached through Windows.}
  running: {type: raw, required: true, description: "The result of C(wsl.exe --list --running --quiet)."}
  asked: {type: list, elements: dict, required: true, description: What the distros said about their containers.}
  stop: {type: list, elements: str, required: true, description: "Other distros that may stop, as shell patterns."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
"""
EXAMPLES = "# See playbooks/windows.yml"
RETURN = r"""
actions: {description: What is restarted., returned: success, type: list, elements: dict}
go: {description: "What may be restarted, C(distro) or C(wsl).", returned: success, type: str}
stops: {description: The distros that stop., returned: success, type: list, elements: str}
"""
NAME = re.compile(r"[\w.()+-]+(?: [\w.()+-]+)*")
WHOLE = "every process was seen"  # the last line of playbooks/files/containers.sh
# The words after which a container's shim and podman's conmon name it.
IDENTITY = re.compile(r"(?:^|\s)(?:-id|-c|--cid) (\S+)")
NAMED = re.compile(r"(?:^|\s)(?:-n|--name) (\S+)")


def text_of(answer):
    """What wsl.exe, or a program in a distro, said: UTF-16 that was read as UTF-8, or plain text."""
    return re.sub(r"[\0\r\ufeff]", "", answer.get("stdout") or "")


def said(answer):
    """Its last words, for a message."""
    words = f"{text_of(answer)}\n{answer.get('stderr') or ''}\n{answer.get('msg') or ''}".strip().splitlines()
    return words[-1].strip() if words else "nothing"


def containers(answer):
    """The containers in a distro by their names or first digits; None if it gave no whole answer."""
    lines = text_of(answer).splitlines()
    if answer.get("unreachable") or answer.get("rc", 1) != 0 or WHOLE not in lines:
        return None
    found = []
    for line in lines:
        if line.startswith("container "):
            named = NAMED.search(line) or IDENTITY.search(line)
            found.append(named[1][:12] if named and named.re is IDENTITY else named[1] if named else line.split()[1])
    return sorted(set(found))


def check_reach(params):
    name = params["distribution"]
    command = f"wsl.exe --terminate {name or 'NAME'}" if params["restart"] == "distro" else "wsl.exe --shutdown"
    if not params["windows"] or not name:
        raise Failure(
            "This host is not reached through Windows, so nobody can be asked to restart it.",
            f"run `{command}` in Windows, or use an inventory such as inventory/wsl-windows.example.yml",
            "precondition",
        )
    if not NAME.fullmatch(name):
        raise Failure(
            f"The distro's name {name!r} holds characters that Windows' shells read as something else.",
            f"run `{command}` in Windows yourself",
            "precondition",
        )


def decide(params):
    """Return the distros that stop."""
    check_reach(params)
    running = [name.strip() for name in text_of(params["running"]).splitlines() if name.strip()]
    own = params["distribution"].lower()
    if params["running"].get("unreachable") or params["running"].get("rc") != 0 or own not in map(str.lower, running):
        raise Failure(
            f"Windows did not tell which distros run; it said: {said(params['running'])}.",
            "see what `wsl.exe --list --running --quiet` says in Windows",
            "precondition",
        )
    stops = running if params["restart"] == "wsl" else [name for name in running if name.lower() == own]
    answers = {answer["__windows_name"]: answer for answer in params["asked"]}
    found = {name: containers(answers.get(name, {})) for name in stops}
    silent = [name for name, run in found.items() if run is None]
    busy = [f"{name} ({', '.join(run)})" for name, run in found.items() if run]
    what = "All of WSL" if params["restart"] == "wsl" else "The distro"
    if busy:
        raise Failure(
            f"{what} was not restarted, because containers run in {'; '.join(busy)}. A restart would end them.",
            "stop them, for instance with `docker stop NAME` in that distro, then run the playbook again",
            "precondition",
        )
    if silent:
        raise Failure(
            f"{what} was not restarted: whether containers run in {', '.join(silent)} is unknown. "
            f"It said: {said(answers.get(silent[0], {}))}.",
            f'see what runs there with `wsl.exe --distribution "{silent[0]}" --user root -- ps` in Windows',
            "precondition",
        )
    patterns = [pattern.lower() for pattern in [*params["stop"], params["distribution"]]]
    others = [name for name in stops if not any(fnmatchcase(name.lower(), pattern) for pattern in patterns)]
    if others:
        names = ", ".join(f'"{name}"' for name in others)
        raise Failure(
            f"All of WSL was not restarted, because it would stop other distros that run: {', '.join(others)}.",
            f"""stop what runs in them, then allow it with `-e '{{"cai_windows_stop": [{names}]}}'`""",
            "precondition",
        )
    return stops


def main():
    module = AnsibleModule(
        argument_spec={
            "restart": {"type": "str", "required": True, "choices": ["distro", "wsl"]},
            "distribution": {"type": "str", "default": ""},
            "windows": {"type": "bool", "required": True},
            "running": {"type": "raw", "required": True},
            "asked": {"type": "list", "elements": "dict", "required": True},
            "stop": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        stops = decide(module.params)
    except Failure as failure:
        module.fail_json(**failure.told)
    what = f"the distro {stops[0]}" if module.params["restart"] == "distro" else f"all of WSL ({', '.join(stops)})"
    # The steps that follow do it, and are left out in check mode.
    module.exit_json(
        changed=module.check_mode,
        actions=[{"verb": "restart", "what": what}],
        go=module.params["restart"],
        stops=stops,
    )


if __name__ == "__main__":
    main()
