#!/usr/bin/python
"""Give a WSL2 distro what the engine needs of WSL: systemd in wsl.conf, the network mode in the user's .wslconfig."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure, bad_setting, reporting
from ansible.module_utils.containai.platform import platform_here, read_text
from ansible.module_utils.containai.record import read, replace
from ansible.module_utils.containai_wsl_file import SettingsFile
from ansible.module_utils.containai_wsl_profile import profile_folder, put

DOCUMENTATION = r"""
module: containai_wsl_settings
short_description: Change what the engine needs in the settings of WSL
description:
  - Puts C(systemd=true) below C([boot]) in C(/etc/wsl.conf), and C(networkingMode) below C([wsl2]) in C(.wslconfig) of
    the Windows user, each only if it is asked for. The latter file is reached by the mounted drive of Windows.
  - Everything else in these files stays, byte by byte. The old file is kept beside the new one, with the first digits
    of its sha256 in the name. A file that WSL itself does not understand is refused.
  - Restarts nothing. It returns which restart is missing, and who has to stop for it.
options:
  variables: {type: list, elements: str, default: [], description: "The play's variables C(cai_windows_*)."}
  systemd: {type: raw, required: true, description: Whether systemd is asked for.}
  networking_mode: {type: raw, required: true, description: "C(nat), or empty for none."}
  restart: {type: raw, required: true, description: "What may be restarted: C(never), C(distro) or C(wsl)."}
  stop: {type: raw, required: true, description: A list of the other distros that may stop with WSL.}
  profile: {type: raw, required: true, description: "The Windows user's folder in the distro; empty: ask Windows."}
  distribution: {type: str, default: "", description: The distro's name.}
  restarted: {type: str, default: "", description: "What was restarted before: C(distro), C(wsl) or nothing."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = "# See playbooks/windows.yml"
RETURN = r"""
actions: {description: What was changed or would be., returned: success, type: list, elements: dict}
missing: {description: "The restarts that are missing, C(distro) and C(wsl).", returned: success, type: list}
restart: {description: "What is to be restarted now, C(distro), C(wsl) or nothing.", returned: success, type: str}
notes: {description: What is still needed, returned: success, type: list, elements: str}
"""
KNOWN = ("systemd", "networking_mode", "restart", "stop", "profile")
ARGUMENTS = {
    "variables": {"type": "list", "elements": "str", "default": []},
    **{name: {"type": "raw", "required": True} for name in KNOWN},
    "distribution": {"type": "str", "default": ""},
    "restarted": {"type": "str", "default": ""},
}
WSL_CONF = "/etc/wsl.conf"
RUNS = "/run/systemd/system"
SYSTEMD = (("boot", "systemd"),)
MODE = (("wsl2", "networkingMode"), ("experimental", "networkingMode"))  # the second is the name of older releases
HELP = "`docs/fleet.md` lists the variables of windows.yml"


def checked(params):
    """The settings that are asked for; refuses what cannot be meant."""
    unknown = sorted(name for name in params["variables"] if name.removeprefix("cai_windows_") not in KNOWN)
    if unknown:
        names = ", ".join(f"cai_windows_{name}" for name in KNOWN)
        raise bad_setting(f"There is no variable {unknown[0]}; the variables of windows.yml are {names}.", HELP)
    asked = {name: params[name] for name in KNOWN}
    switch = {"true": True, "yes": True, "false": False, "no": False}.get(str(asked["systemd"]).lower())
    if switch is None:
        raise bad_setting(
            f"The variable cai_windows_systemd is {asked['systemd']!r}; true or false is needed.",
            "for instance `-e cai_windows_systemd=true`",
        )
    if asked["networking_mode"] not in ("", "nat"):
        raise bad_setting(
            f"The variable cai_windows_networking_mode is {asked['networking_mode']!r}; nat is needed, in which WSL "
            "holds no seccomp listener.",
            "for instance `-e cai_windows_networking_mode=nat`",
        )
    if asked["restart"] not in ("never", "distro", "wsl"):
        raise bad_setting(
            f"The variable cai_windows_restart is {asked['restart']!r}; never, distro or wsl is needed.",
            "for instance `-e cai_windows_restart=distro`",
        )
    stop = asked["stop"]
    if not isinstance(stop, list) or not all(isinstance(name, str) for name in stop):
        raise bad_setting(
            f"The variable cai_windows_stop is {stop!r}; a list of distros is needed.",
            """for instance `-e '{"cai_windows_stop": ["docker-desktop"]}'`""",
        )
    if not isinstance(asked["profile"], str) or (asked["profile"] and not asked["profile"].startswith("/")):
        raise bad_setting(
            f"The variable cai_windows_profile is {asked['profile']!r}; the path in the distro is needed.",
            "for instance `-e cai_windows_profile=/mnt/c/Users/NAME`",
        )
    return {**asked, "systemd": switch}


def backup_of(path, data):
    """The name under which the old file is kept: one for each content, so that none is ever overwritten."""
    return f"{path}.{hashlib.sha256(data).hexdigest()[:12]}.bak"


class Change:
    """What becomes of the two files."""

    def __init__(self, check):
        self.check, self.actions, self.diff, self.writes = check, [], [], []

    def plan(self, path, names, value, same, windows):
        """Have a value in a file. Nothing is written before all files were read. Returns whether the file changes."""
        data = read(path)
        file = SettingsFile(path, data, windows)
        before = file.text
        file.set(names, value, same)
        if file.text == before:
            return False
        section, key = names[0]
        kept = f", and keep the old file as {backup_of(path, data)}" if data is not None else ""
        self.actions.append({"verb": "set", "what": f"{key}={value} below [{section}] in {path}{kept}"})
        self.diff.append({"before_header": path, "after_header": path, "before": before, "after": file.text})
        self.writes.append((path, data, file.encoded, windows))
        return True

    def write(self):
        for path, old, new, windows in self.writes:
            # The copy of a file that root alone may read is root's alone, too.
            mode = 0o644 if old is None else stat.S_IMODE(Path(path).stat().st_mode)
            if old is not None and read(backup_of(path, old)) != old:
                place(backup_of(path, old), old, mode, windows)
            place(path, new, mode, windows)


def place(path, data, mode, windows):
    """Put a file there in one step, in the way of its file system."""
    if windows:
        put(path, data)
    else:
        replace(path, data, mode)


def newer_than_boot(path):
    """Whether a file was changed since WSL's virtual machine started."""
    booted = next((line.split()[1] for line in read_text("/proc/stat").splitlines() if line.startswith("btime ")), "0")
    try:
        return Path(path).stat().st_mtime > int(booted)
    except OSError:
        return False


def look(params, check):
    asked = checked(params)
    platform = platform_here()
    if platform != "wsl2":
        raise Failure(
            f"This host is {platform}; windows.yml is for WSL2 distros.",
            "leave it out with `--limit`" if platform == "linux" else "run `wsl --set-version <distro> 2` in Windows",
            "unsupported",
        )
    runs, mode = Path(RUNS).is_dir(), containai_wsl_network.networking_mode()
    change, missing = Change(check), []
    if asked["systemd"]:
        change.plan(WSL_CONF, SYSTEMD, "true", ("1",), windows=False)
        if not runs:
            missing.append("distro")
    if asked["networking_mode"]:
        if mode != "nat" and containai_wsl_network.fixed_by_policy():
            raise Failure(
                "A policy of this Windows fixes the network mode; .wslconfig is not read for it.",
                containai_wsl_network.remedy(mode, True),
                "precondition",
            )
        path = f"{profile_folder(asked['profile'])}/.wslconfig"
        changed = change.plan(path, MODE, "nat", (), windows=True)
        # Windows falls back from nat to another mode by itself: then no restart is missing.
        if mode == "mirrored" or (mode != "nat" and (changed or newer_than_boot(path))):
            missing.append("wsl")
    if not check:
        change.write()
    return asked, change, missing, runs, mode


def notes(asked, missing, runs, mode, name):
    """What is still needed, in words."""
    told = []
    if not runs and not asked["systemd"]:
        told.append("systemd does not run here, and the engine needs it: set `cai_windows_systemd=true`.")
    if "wsl" in missing:
        told.append(
            "WSL reads .wslconfig when all of it starts. Run `wsl.exe --shutdown` in Windows, which stops every "
            "distro, or set `cai_windows_restart=wsl`."
        )
    elif "distro" in missing:
        told.append(
            f"systemd starts with the distro. Run `wsl.exe --terminate {name or 'NAME'}` in Windows, or set "
            "`cai_windows_restart=distro`."
        )
    if asked["networking_mode"] and mode in containai_wsl_network.FALLBACKS and "wsl" not in missing:
        told.append(f"WSL is in the mode {mode}: {containai_wsl_network.remedy(mode, False)}.")
    return told


def settled(missing, restarted, mode):
    """Refuse a host on which the restart did not bring what was asked for."""
    if restarted and "distro" in missing:
        raise Failure(
            "The distro was restarted, and systemd does not run in it.",
            f"run `wsl --update` in Windows, and see that {WSL_CONF} has no second settings for [boot]",
        )
    if restarted == "wsl" and mode not in ("nat", ""):
        raise Failure(
            f"WSL was restarted, and is in the network mode {mode}, not nat.", containai_wsl_network.remedy(mode, False)
        )


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    with reporting(module, f"see what keeps root from it: `ls -ld {WSL_CONF}`"):
        asked, change, missing, runs, mode = look(params, module.check_mode)
        settled(missing, params["restarted"], mode)
        may = {"never": (), "distro": ("distro",), "wsl": ("wsl", "distro")}[asked["restart"]]
        module.exit_json(
            changed=bool(change.actions),
            actions=change.actions,
            diff=change.diff,
            missing=missing,
            restart=next((one for one in may if one in missing), ""),
            notes=notes(asked, missing, runs, mode, params["distribution"]),
        )


if __name__ == "__main__":
    main()
