"""Whether the secure engine can live on a host: its platform, distribution, kernel, settings and user."""

from __future__ import annotations

import os
import pwd
import re

from ansible.module_utils import containai_link
from ansible.module_utils.containai.egress import policy_of
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.platform import platform_here, read_text
from ansible.module_utils.containai.process import output, which
from ansible.module_utils.containai_distribution import base_of, os_release
from ansible.module_utils.containai_engine_settings import Unusable, check_daemon_json, check_settings, link_of

TITLES = {"wsl2": "WSL2", "linux": "Linux"}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def unsupported(message, hint):
    """Return the Failure of a host that cannot carry the engine."""
    return Failure(message, hint, "unsupported")


def version_key(text):
    return [int(part) for part in re.findall(r"\d+", text)]


def check_platform(platform, wanted):
    if platform == "wsl1":
        raise unsupported(
            "This distro runs under WSL1, which has no Linux kernel of its own; WSL2 is needed.",
            "run `wsl --set-version <distro> 2` in Windows, then try again",
        )
    if wanted != "any" and platform != wanted:
        raise Failure(f"This host is {platform}, and the playbook is for {wanted}.", f"use `playbooks/{platform}.yml`", "precondition")


def boot_section(wsl_conf):
    """Return (whether the file has a section [boot], the value of systemd in it or None)."""
    section, there, value = "", False, None
    for line in map(str.strip, wsl_conf.splitlines()):
        if line.startswith("["):
            section = line.strip("[] \t").lower()
            there = there or section == "boot"
        elif section == "boot" and line.partition("=")[0].strip().lower() == "systemd":
            value = line.partition("=")[2].partition("#")[0].strip().strip('"').lower()
    return there, value


def systemd_hint(wsl_conf):
    """Say how to make WSL start systemd, for the /etc/wsl.conf that is there."""
    there, value = boot_section(wsl_conf)
    if value in ("true", "1"):
        return "run `wsl --shutdown` in Windows, and `wsl --update` before it if that changes nothing: /etc/wsl.conf asks for systemd already"
    if value is not None:
        edit = r"sudo sed -i 's/^[[:space:]]*systemd[[:space:]]*=.*/systemd=true/I' /etc/wsl.conf"
    elif there:
        edit = r"sudo sed -i 's/^[[:space:]]*\[boot\].*/&\nsystemd=true/I' /etc/wsl.conf"
    else:
        gap = "" if wsl_conf.endswith("\n") or not wsl_conf else r"\n"
        edit = rf"printf '{gap}[boot]\nsystemd=true\n' | sudo tee -a /etc/wsl.conf"
    return f"run `{edit}`, then `wsl --shutdown` in Windows"


def check_container_and_systemd(platform, root="/"):
    """Refuse a container, and a host that systemd does not run."""
    container = read_text(os.path.join(root, "run/systemd/container")).strip()
    if platform != "wsl2" and not container:
        marks = {".dockerenv": "docker", "run/.containerenv": "podman"}
        container = next((name for mark, name in marks.items() if os.path.exists(os.path.join(root, mark))), "")
    if container not in ("", "wsl"):
        raise unsupported(
            f"This is a container ({container}); the secure engine needs a machine, a VM or a WSL2 distro.", "run `cai setup` on the machine itself"
        )
    if not os.path.isdir(os.path.join(root, "run/systemd/system")):
        if platform == "wsl2":
            hint = systemd_hint(read_text(os.path.join(root, "etc/wsl.conf")))
        else:
            hint = "boot this host with systemd, for instance after `apt-get install systemd-sysv`"
        raise unsupported("systemd does not run here; the engine and Sysbox are systemd services.", hint)


def check_distribution(release, supported, platform):
    """Return what the host is or is built on; refuse what is too old or has no known base."""
    found = base_of(release, supported, read_text("/etc/debian_version"))
    known = ", ".join(f"{name.capitalize()} {floor} or newer" for name, floor in sorted(supported.items()))
    named = release.get("PRETTY_NAME", release.get("ID", "unknown"))
    if found is None:
        mend = "run `wsl --install -d Ubuntu-24.04` in Windows" if platform == "wsl2" else "run `cai setup` on a machine or in a VM with one of these"
        raise unsupported(f"{named} is not supported; needed is one of: {known}.", mend)
    # A testing release has no number: it is newer than every numbered one.
    if found["version"] and version_key(found["version"]) < version_key(supported[found["distribution"]]):
        built = f", which is built on {found['distribution'].capitalize()} {found['version']}," if found["derivative"] else ""
        raise unsupported(f"{named}{built} is too old; needed is one of: {known}.", "run `sudo do-release-upgrade` (Ubuntu), or install a newer system")
    return found


def dpkg_architecture():
    """Return the architecture of the installed programs; empty without dpkg."""
    return output(["dpkg", "--print-architecture"], timeout=30).strip()


def check_architecture(machine, programs):
    """Refuse a processor, or programs on it, for which there is no Sysbox: a 64-bit kernel may carry a 32-bit system (Raspberry Pi OS)."""
    if machine not in MACHINES:
        raise unsupported(
            f"The architecture {machine} is not supported; Sysbox exists for amd64 and arm64.", "use a machine on which `uname -m` says x86_64 or aarch64"
        )
    if programs and programs != MACHINES[machine]:
        raise unsupported(
            f"The kernel is for {MACHINES[machine]}, and the programs of this system are for {programs}; Sysbox exists for amd64 and arm64.",
            "install a 64-bit system, on which `dpkg --print-architecture` says amd64 or arm64",
        )


def check_kernel(kernel, minimum):
    if version_key(kernel)[:2] < version_key(minimum)[:2]:
        raise unsupported(
            f"The kernel {kernel} is too old; Sysbox needs {minimum} or newer.",
            "run `wsl --update` in Windows (WSL2), or `sudo apt-get full-upgrade` and reboot",
        )


def check_docker(root="/"):
    if os.path.exists(os.path.join(root, "snap/bin/docker")) and not which("dockerd"):
        raise unsupported(
            "Docker comes from snap here, whose confinement keeps other runtimes out; a packaged Docker is needed.",
            "run `sudo snap remove docker`, then try again",
        )


def owner(name):
    """Return the password entry of the user the engine is for: the named one, the one behind sudo, or this process's."""
    name = name or os.environ.get("SUDO_USER", "")
    try:
        return pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
    except (KeyError, ValueError) as error:  # ValueError: a NUL in it
        raise Failure(
            f"There is no user {name or os.getuid()!r} on this host.", "name an existing one with `-e docker_context_user=NAME`", "precondition"
        ) from error


def look(params, warn):
    """Return what the host is; refuse one that cannot carry the engine. `warn` is called with what is worth a warning."""
    platform = platform_here()
    machine, kernel = os.uname().machine, os.uname().release
    check_platform(platform, params["platform"])
    system = check_distribution(os_release(read_text("/etc/os-release")), params["supported"], platform)
    check_container_and_systemd(platform)
    check_architecture(machine, dpkg_architecture())
    check_kernel(kernel, params["minimum_kernel"])
    check_docker()
    check_settings(params["settings"], params["dedicated"])
    try:
        warning = check_daemon_json(params["daemon_json"], params["dedicated"], params["settings"].get("dns"), params["settings"].get("data_root"))
        if warning:
            warn(warning)
    except Unusable:
        if not params["report"]:  # the report has a part of its own for this: the runtime
            raise
    user = owner(params["user"])
    egress = policy_of(params["egress"], params["egress_allow"], params["settings"].get("proxy") or {})
    link = link_of(params["link_subnet"], *containai_link.look())
    if system["derivative"]:
        warn(f"{system['derivative']} is not tested; it is treated as {base(system)} ({system['codename']}), on which it is built.")
    return {
        "platform": platform, **system,
        "architecture": MACHINES[machine], "kernel": kernel, "user": user.pw_name, "home": user.pw_dir,
        "dockerd_path": which("dockerd") or "", "containerd_path": which("containerd") or "",
        "link": link, "egress": egress,
    }  # fmt: skip


def base(system):
    return f"{system['distribution'].capitalize()} {system['version'] or system['codename']}"


def described(host):
    """Return the host in one line of a health report."""
    system = f"{host['derivative']} (not tested; treated as {base(host)})" if host["derivative"] else base(host)
    return f"{TITLES[host['platform']]}, {system}, {host['architecture']}, kernel {host['kernel']}"
