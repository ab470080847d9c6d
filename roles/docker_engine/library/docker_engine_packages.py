#!/usr/bin/python
"""Install Docker's packages without waking, or replacing, anything that was on the host before."""

from __future__ import annotations

import os
import time

from ansible.module_utils import containai_docker_repository as repository
from ansible.module_utils import containai_docker_upgrade as docker_upgrade
from ansible.module_utils import containai_programs
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai import apt, apt_plan
from ansible.module_utils.containai.apt import run
from ansible.module_utils.containai.errors import Failure, reporting
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai.process import which
from ansible.module_utils.containai.progress import followed
from ansible.module_utils.containai.proxy import use
from ansible.module_utils.containai.record import Record, read, replace
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai_programs import cli_works, tools
from ansible.module_utils.containai_service_masks import masked

DOCUMENTATION = r"""
module: docker_engine_packages
short_description: Make sure that dockerd, containerd, a docker CLI and the network tools are installed
description:
  - Packages that are there stay at their version, and their services as they are; with I(upgrade), those that carry dockerd, containerd and the docker CLI
    get the candidate version of their own apt source. That is refused, before anything changes, where a package is held, where C(docker.service),
    C(docker.socket) or C(containerd.service) is in use (its package would restart it), and while containers run in the engine at I(socket).
  - apt is asked first, in check mode too, what it would remove or downgrade; anything that is not in I(allow_removal) is refused.
  - A C(docker.service), C(docker.socket) or C(containerd.service) that was not there before is neither started nor enabled.
  - C(/usr/bin/docker) stays what it is where no package owns it (Docker Desktop's WSL integration makes it a symbolic link); the package's program
    is then diverted to C(/usr/bin/docker.containai).
  - Docker's repository is used with a key of the given fingerprint only, scoped with C(signed-by).
options:
  source: {type: str, choices: [docker, distro], required: true, description: "Docker's signed apt repository, or the distribution's own package."}
  dedicated: {type: bool, default: true, description: "Whether the host's own docker.service is not to be used. False in the VM, where it is the engine."}
  host: {type: dict, required: true, description: What M(docker_engine_host) returned.}
  apt_url: {type: str, description: "Repository; C({distribution}) is replaced. Read with I(source=docker)."}
  apt_key_url: {type: str, description: "The repository's key: https://, http:// or file://."}
  apt_key_fingerprint: {type: str, description: 40 hexadecimal digits.}
  apt_wait: {type: int, default: 300, description: Seconds to wait for another process that holds apt's lock.}
  allow_removal: {type: list, elements: str, default: [], description: Packages that apt may remove or downgrade where they conflict with the new ones.}
  upgrade: {type: bool, default: false, description: Bring the packages of a Docker that is installed to the version that apt offers.}
  preflight: {type: bool, default: false, description: "With I(upgrade), read apt's lists, refuse what the run would refuse, say whether it is needed, and do nothing else."}
  checked: {type: bool, default: false, description: "With I(upgrade), the preflight of this run has read apt's lists, and given its warnings."}
  unit: {type: str, default: containai-docker.service, description: "With I(upgrade), the engine's unit."}
  socket: {type: path, default: /var/run/docker-containai.sock, description: "With I(upgrade), the engine's API socket."}
  restart_containers: {type: bool, default: false, description: "Upgrade although containers run in the engine, which has to restart for it."}
  proxy: {type: str, default: '', description: "Proxies for what is fetched: JSON text of {C(https_proxy): address, ...}."}
  progress: {type: str, default: '', description: File in which apt's progress is told.}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- docker_engine_packages:
    source: distro
    host: "{{ __docker_engine_host }}"
"""
RETURN = r"""
dockerd_path: {type: str, returned: always, description: "dockerd, or where it will be", sample: /usr/bin/dockerd}
containerd_path: {type: str, returned: always, description: "containerd, or where it will be", sample: /usr/bin/containerd}
needed: {type: bool, returned: with I(preflight), description: whether there is something to upgrade, sample: true}
upgraded: {type: bool, returned: always, description: "whether packages were upgraded, or in check mode would be, so that the engine has to restart", sample: false}
actions: {type: list, elements: dict, returned: changed, description: what was done, sample: [{verb: install, what: docker.io}]}
"""

ENGINE = {"docker": ["docker-ce", "docker-ce-cli", "containerd.io"], "distro": ["docker.io"]}
# Debian 13 and newer have the CLI in a package of its own, which docker.io only recommends.
CLI = {"docker": "docker-ce-cli", "distro": "docker-cli"}
OTHER_SOURCE = {"docker": "`cai setup -e docker_engine_source=docker`", "distro": "`cai setup -e docker_engine_source=distro`"}
SERVICES = ("docker.service", "docker.socket", "containerd.service")
DIVERTED = "/usr/bin/docker.containai"
UNITS = ("/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system")


def tail(result, lines=6):
    """The end of what a command said; dpkg's own words come on apt's standard output."""
    said = [line for line in f"{result.stdout}\n{result.stderr}".splitlines() if line.strip() and "delaying package configuration" not in line]
    return "\n".join(said[-lines:])


def apt_get(params, *arguments):
    words = ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={params['apt_wait']}", *apt_plan.OPTIONS, *arguments]
    return followed(run, words, params["progress"])


def missing_packages(params, expected=False):
    """Return the packages to install; nothing that is there is named, so nothing is upgraded. `expected`: the new lists will know of the CLI's package."""
    source = params["source"]
    names = [package for program, package in tools(params["dedicated"]).items() if not which(program)]
    if not which("dockerd"):
        names += ENGINE[source]
    if not cli_works() and CLI[source] not in names and not os.path.exists(DIVERTED) and (expected or available(CLI[source])):
        names.append(CLI[source])
    return names


def will_be_available(module):
    """For a plan, which reads no new lists, where the host has none yet: whether they will know of a package for the CLI."""
    source, host = module.params["source"], module.params["host"]
    if not module.check_mode or source != "distro" or available(ENGINE[source][0]):
        return False
    number = host.get("version", "").partition(".")[0]
    return host["distribution"] == "debian" and (not number.isdigit() or int(number) >= 13)  # testing has no number


def available(package):
    return f"\nPackage: {package}\n" in "\n" + run(["apt-cache", "show", "--no-all-versions", package]).stdout


def unowned_cli():
    return os.path.lexists(containai_programs.DOCKER) and run(["dpkg-query", "--search", containai_programs.DOCKER]).returncode != 0


def unit_known(name):
    return any(os.path.lexists(os.path.join(folder, name)) for folder in UNITS)


INSTALL = ("install", "--no-install-recommends", "--no-upgrade")


def refuse_losses(packages, params, planned):
    """Refuse a transaction that would remove or downgrade what is on the host; return whether it would do so with permission."""
    lost = apt_plan.losses(run, [*INSTALL, *packages])
    if lost is None and planned:
        lost = apt_plan.expected(run, packages)
    found = apt_plan.unwanted(lost or [], params["allow_removal"])
    if found:
        what, option = found
        instead = another_source(packages, params)
        raise Failure(
            f"apt would {what} to install {' '.join(packages)}, which conflicts with it. Nothing was changed.",
            f"{f'keep it with {instead}, or ' if instead else ''}let it go with `cai setup` and {option}",
            "precondition",
        )
    return [loss.name for loss in lost or []]


def another_source(packages, params):
    """Return the command that installs from the other source if that takes nothing from the host."""
    other = "distro" if params["source"] == "docker" else "docker"
    wanted = [*(name for name in packages if name not in (*ENGINE[params["source"]], CLI[params["source"]])), *ENGINE[other]]
    if not set(packages) & set(ENGINE[params["source"]]):  # only the CLI is missing
        return ""
    if other == "distro" and not cli_works() and available(CLI["distro"]):
        wanted.append(CLI["distro"])
    lost = apt_plan.losses(run, [*INSTALL, *wanted])
    if lost is None:
        lost = apt_plan.expected(run, wanted)
    return "" if lost else OTHER_SOURCE[other]


def install(packages, record, params):
    """Install with every new service masked until dpkg is done. The mask lives in /run: a crash forgets it with the next boot."""
    # After a killed run this is what the killed run found: its services still have to be stopped and disabled.
    began = record.data.get("installing", {}).get("docker", {})
    quiet = began.get("quiet", [name for name in SERVICES if params["dedicated"] and not unit_known(name)])
    with masked(quiet, lambda: run(["systemctl", "daemon-reload"])):
        run(["dpkg", "--configure", "-a"])  # mends what an interrupted dpkg left; without that there is nothing to do
        updated = update(params)
        packages = [*packages, *(name for name in missing_packages(params) if name not in packages)]
        # apt itself removes and downgrades nothing, and plans for seconds: it is asked first where it may, or where something is moved aside for it.
        ask = bool(params["allow_removal"]) or unowned_cli()
        going = refuse_new_losses(packages, record, params) if ask else []
        prepare(record, quiet, going)
        apt_install(packages, record, params, updated, going)
    rest(quiet)
    record.end_installation("docker")
    return packages


def refuse_new_losses(packages, record, params):
    """Refuse what only the new lists tell, with the repository given back."""
    try:
        return refuse_losses(packages, params, planned=False)
    except Failure:
        repository.give_back(record)
        raise


def prepare(record, quiet, going):
    """Note what is about to change, and keep a docker program that no package owns."""
    record.begin_installation("docker", quiet=quiet)
    for name in going:
        record.note("removed", name)
    if unowned_cli() and DIVERTED not in record.data.get("diversions", []):
        record.note("diversions", DIVERTED)
    record.save()
    if DIVERTED in record.data.get("diversions", []):
        run(["dpkg-divert", "--local", "--no-rename", "--divert", DIVERTED, "--add", containai_programs.DOCKER])


def rest(services):
    found = [name for name in services if unit_known(name)]
    if found:
        run(["systemctl", "disable", "--now", *found])


def update(params):
    """Read the lists again. apt-get waits for dpkg's locks, and not for that of the lists, which a timer of its own takes at boot."""
    end = time.monotonic() + params["apt_wait"]
    while True:
        result = apt_get(params, "update")
        if result.returncode == 0 or "Could not get lock" not in result.stderr or time.monotonic() >= end:
            return result
        time.sleep(1)


def change_packages(command, packages, params, going):
    """Let apt at work, which removes nothing unless something is allowed to go, and keeps the files in /etc that somebody edited."""
    keep = [] if going else ["--no-remove"]
    return apt_get(params, *command, "--yes", *keep, "-o", "Dpkg::Options::=--force-confold", *packages)


def apt_install(packages, record, params, updated, going):
    """Install the packages; remove none but those that are allowed to go."""
    result = change_packages(INSTALL, packages, params, going)
    if result.returncode != 0:
        if not going:
            refuse_begun(packages, record, params)
        detail = tail(result) if updated.returncode == 0 else f"{tail(updated)}\n{tail(result)}"
        held = apt.holder()
        hint = apt.hint(held, detail)
        if updated.returncode != 0 and repository.give_back(record) and not held:
            hint += "; where it is Docker's repository that fails: `cai setup -e docker_engine_source=distro`"
        raise Failure(f"apt could not install {' '.join(packages)}{held}:\n{detail}", hint)


def refuse_begun(packages, record, params):
    """Refuse what apt has just refused for its losses: nothing of it was done."""
    try:
        refuse_new_losses(packages, record, params)
    except Failure:
        record.end_installation("docker")
        raise


def planned_upgrade(module):
    """Return what is to be upgraded. Whatever refuses it does so by the lists that are there, and again by new ones."""
    docker_upgrade.refuse_foreign()
    upgrade = docker_upgrade.Upgrade()
    docker_upgrade.guard(upgrade, module)
    if module.params["checked"]:
        return upgrade
    if module.check_mode:
        module.warn(f"What Docker would be upgraded to is what apt's lists of {docker_upgrade.age()} say; the run itself reads new ones first.")
        return upgrade
    updated = update(module.params)
    if updated.returncode != 0 or "Failed to fetch" in updated.stderr:
        module.warn(f"apt could not read all of its lists again, so there may be a newer Docker than it knows of: {mask(tail(updated, 2))}")
    upgrade = docker_upgrade.Upgrade()
    docker_upgrade.guard(upgrade, module)
    if upgrade.sourceless:
        names = " ".join(upgrade.sourceless)
        module.warn(f"No apt source of this host has {names}, so there is nothing to upgrade to; `apt-cache policy {names}` shows what apt knows.")
    return upgrade


def apply_upgrade(upgrade, record, params):
    """Upgrade, with the services of the packages masked, which are not in use: their packages' own scripts start and enable them."""
    quiet = SERVICES if params["dedicated"] else []
    with masked(quiet, lambda: run(["systemctl", "daemon-reload"])):
        going = upgrade.going(params["allow_removal"])
        prepare(record, list(quiet), going)
        result = change_packages(docker_upgrade.COMMAND, upgrade.steps, params, going)
        if result.returncode != 0:
            detail, held = tail(result), apt.holder()
            raise Failure(f"apt could not upgrade {upgrade.text}{held}:\n{detail}", apt.hint(held, detail))
    rest(quiet)
    record.end_installation("docker")


def converge(module):
    params = module.params
    record = Record()
    unfinished = record.unfinished_installation("docker")
    upgrade = planned_upgrade(module) if params["upgrade"] and which("dockerd") else None
    upgraded = bool(upgrade and upgrade.steps)
    if params["preflight"]:
        return {"changed": False, "actions": [], "needed": upgraded, "upgraded": False, **programs(params["source"])}
    packages = missing_packages(params, will_be_available(module))
    if packages:
        refuse_losses(packages, params, planned=True)
    need_repository = params["source"] == "docker" and bool(set(packages) & set(ENGINE["docker"]))
    files = repository.files(params, module.check_mode) if need_repository else {}
    stale = {path: data for path, data in files.items() if read(path) != data}
    actions = [{"verb": "create" if read(path) is None else "change", "what": path} for path in stale]
    diff = (
        [
            {
                "before_header": repository.SOURCES,
                "after_header": repository.SOURCES,
                "before": (read(repository.SOURCES) or b"").decode(),
                "after": stale[repository.SOURCES].decode(),
            }
        ]
        if repository.SOURCES in stale
        else []
    )
    if not module.check_mode:
        for path, data in stale.items():
            record.note_file(path, read(path), data)
            record.save()
            replace(path, data)
        if packages or unfinished:
            packages = install(packages, record, params)
        if upgraded:
            apply_upgrade(upgrade, record, params)
    actions += [{"verb": "install", "what": name} for name in packages] + (upgrade.actions if upgrade else [])
    return {"changed": bool(actions) or unfinished, "actions": actions, "diff": diff, "upgraded": upgraded, **programs(params["source"])}


def programs(source):
    folder = "/usr/bin" if source == "docker" else "/usr/sbin"
    return {
        "dockerd_path": which("dockerd") or f"{folder}/dockerd",
        "containerd_path": which("containerd") or "/usr/bin/containerd",
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "choices": ["docker", "distro"], "required": True},
            "host": {"type": "dict", "required": True},
            "dedicated": {"type": "bool", "default": True},
            "apt_wait": {"type": "int", "default": 300},
            "allow_removal": {"type": "list", "elements": "str", "default": []},
            "upgrade": {"type": "bool", "default": False},
            "preflight": {"type": "bool", "default": False},
            "checked": {"type": "bool", "default": False},
            "unit": {"type": "str", "default": "containai-docker.service"},
            "socket": {"type": "path", "default": "/var/run/docker-containai.sock"},
            "restart_containers": {"type": "bool", "default": False},
            "apt_url": {"type": "str"},
            "apt_key_url": {"type": "str", "no_log": False},
            "apt_key_fingerprint": {"type": "str", "no_log": False},
            "proxy": {"type": "str", "default": "", "no_log": True},
            "progress": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    hold(module)
    use(module.params["proxy"])
    with reporting(module, "run `df -h / /var /etc` and `command -v apt-get`, mend what they show, then try again"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
