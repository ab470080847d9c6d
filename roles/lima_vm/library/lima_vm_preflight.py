#!/usr/bin/python
"""Look at a Mac (or a Linux host with Lima) once: can the VM live here, and what is missing for it."""

from __future__ import annotations

import os
import platform
import re
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.egress import policy_of
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import output
from ansible.module_utils.containai_lima_settings import check_images, check_name, check_owner, check_proxies
from ansible.module_utils.containai_limactl import version

DOCUMENTATION = r"""
module: lima_vm_preflight
short_description: Read what a host is, and refuse one that a Lima VM cannot run on
description:
  - Returns the machine's real architecture (a translated process on Apple silicon does not deceive it), limactl, Homebrew, the docker CLI and the VM's paths.
  - Fails, before anything is changed, on root, too old a macOS or Lima, an Intel Homebrew on Apple silicon, missing Homebrew, a home path that
    is too long for a socket, too little disk, a VM of that name that is not ours, or a setting that Lima could read as something else (an image that
    is fetched without a digest, a template in a proxy's address). For a removal also where the VM is there and limactl is not.
  - In check mode missing Homebrew is a warning, since a plan needs none. Changes nothing, ever.
options:
  name: {type: str, required: true, description: The Lima instance.}
  home: {type: str, default: '', description: "LIMA_HOME. Empty means the environment's, or C(~/.lima)."}
  limactl: {type: str, default: '', description: "Path of limactl. Empty means Homebrew's, or the one on PATH."}
  brew: {type: str, default: '', description: Path of brew. Empty means that of the machine's architecture.}
  images: {type: list, elements: dict, default: [], description: The VM's images; one that is fetched needs a digest.}
  proxy: {type: dict, default: {}, description: The VM's proxies.}
  egress: {type: str, default: open, description: The setting docker_engine_egress; checked here as well before a VM is made.}
  egress_allow: {type: list, elements: dict, default: [], description: The setting docker_engine_egress_allow.}
  minimum_macos: {type: str, default: '13.5', description: Oldest macOS on which Lima uses Apple's virtualization.}
  minimum_lima: {type: str, default: 2.0.0, description: Oldest Lima.}
  minimum_disk: {type: int, default: 20, description: GiB that must be free where the VM has no disk yet.}
  missing_ok: {type: bool, default: false, description: "Whether programs may be missing, as for a removal or a health report."}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, and never fail for them."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- lima_vm_preflight:
    name: containai-secure
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: this machine, status: pass, found: Darwin, hint: ""}]}
host:
  description: what was found
  returned: success
  type: dict
  sample: {system: Darwin, architecture: aarch64, brew: /opt/homebrew/bin/brew, limactl: /opt/homebrew/bin/limactl, docker: /usr/local/bin/docker,
           home: /Users/dev/.lima, socket: /Users/dev/.lima/containai-secure/sock/docker.sock, missing: []}
"""

BREW = {"aarch64": "/opt/homebrew/bin/brew", "x86_64": "/usr/local/bin/brew"}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
LONGEST = "ssh.sock.1234567890123456"  # ssh makes it at first, with 16 random characters
SOCKET_LIMIT = {"Darwin": 104, "Linux": 108}
DOCKER_DIRS = ("~/.docker/bin", "/Applications/Docker.app/Contents/Resources/bin")
GIB = 1 << 30
GET_BREW = "install it as https://brew.sh says, then `cai setup` again"


def key(text):
    return [int(part) for part in re.findall(r"\d+", text)]


def say(*argv):
    """Output of a small program of the system, "" where it fails or is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin", "/bin", "/usr/sbin", "/sbin"])
    return output(argv, env={**os.environ, "PATH": path}, timeout=30).strip()


def refuse(message, hint, failure="precondition"):
    raise Failure(message, hint, failure)


def check_system(system, minimum):
    if os.geteuid() == 0:
        refuse(
            "This runs as root, and neither Lima nor Homebrew works for root; an ordinary user is needed.",
            "run `cai setup` without sudo, as the user who will use the VM",
        )
    if system not in SOCKET_LIMIT:
        refuse(f"{system or 'This system'} is not supported; macOS is needed (or Linux with Lima).", "run `cai setup` on macOS, WSL2 or Linux", "unsupported")
    found = say("sw_vers", "-productVersion") if system == "Darwin" else ""
    if found and key(found) < key(minimum):
        refuse(f"macOS {found} is too old; {minimum} or newer is needed.", "run `softwareupdate --list` and install a newer macOS", "unsupported")


def architecture(system):
    """The machine's own; uname says x86_64 to a translated process on Apple silicon."""
    if system == "Darwin" and say("sysctl", "-n", "hw.optional.arm64") == "1":
        return "aarch64"
    machine = say("uname", "-m") or platform.machine()
    return MACHINES.get(machine) or refuse(
        f"The architecture {machine} is not supported; x86_64 or arm64 is needed.", "use a machine on which `uname -m` says one of these", "unsupported"
    )


def check_paths(folder, system):
    path, limit = os.path.join(folder, LONGEST), SOCKET_LIMIT[system]
    if len(os.fsencode(path)) >= limit:
        refuse(
            f"The path of the VM's sockets is too long: {path} has {len(os.fsencode(path))} bytes; fewer than {limit} are needed.",
            shorter(os.path.basename(folder), system),
        )


def shorter(name, system):
    """Say how to get a shorter path: in the home folder where that will do, else under a name that nobody else can foresee and take."""
    shared = "/Users/Shared" if system == "Darwin" else "/var/tmp"  # noqa: S108 (mktemp makes the name)
    for place, command in (
        (os.path.expanduser("~/.l"), "mkdir -p -m 700 ~/.l && export LIMA_HOME=~/.l"),
        (f"{shared}/l-XXXXXX", f"export LIMA_HOME=$(mktemp -d {shared}/l-XXXXXX)"),
    ):
        if len(os.fsencode(os.path.join(place, name, LONGEST))) < SOCKET_LIMIT[system]:
            return f"choose a shorter folder: `{command}`, put what `echo $LIMA_HOME` says into your shell's profile too, then run `cai setup` again"
    return "choose a shorter name: `cai setup -e lima_vm_name=containai-secure`"


def check_disk(home, folder, needed):
    if any(os.path.exists(os.path.join(folder, disk)) for disk in ("disk", "diffdisk")):
        return
    place = home
    while not os.path.exists(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    if free < needed * GIB:
        refuse(
            f"{free / GIB:.1f} GiB are free for {home}; the VM needs {needed} GiB.",
            "make room, put the VM elsewhere with `export LIMA_HOME=FOLDER`, or lower `-e lima_vm_min_free_disk_gib=N`",
        )


def check_kvm(module, device="/dev/kvm"):
    """Lima takes KVM when the device is there, whether or not the user may open it."""
    if any(name.startswith("QEMU_SYSTEM_") for name in os.environ):
        return
    if not os.path.exists(device):
        module.warn(f"There is no {device}; the VM is emulated, about ten times slower.")
    elif not os.access(device, os.R_OK | os.W_OK):
        refuse(f"This user may not open {device}, which Lima then uses; read and write access is needed.", "run `sudo usermod -aG kvm $USER` and log in again")


def find_brew(given, arch):
    """Return (path of Homebrew or "", why it is of no use)."""
    native = given or BREW[arch]
    if os.access(native, os.X_OK):
        return native, ""
    if arch == "aarch64" and os.access(BREW["x86_64"], os.X_OK):
        return "", f"Homebrew is there for Intel only ({BREW['x86_64']}), but this Mac has Apple silicon; {native} is needed."
    return "", f"Homebrew is missing; {native} is needed to install what the VM needs."


def intel_lima(path, arch):
    """Whether this limactl comes from the Intel Homebrew of a Mac with Apple silicon (lima-vm/lima#543)."""
    return arch == "aarch64" and os.path.realpath(path).startswith(("/usr/local/Cellar/", "/usr/local/opt/"))


def find_limactl(given, brew, arch):
    beside = os.path.join(os.path.dirname(brew), "limactl") if brew else ""
    path = given or next(filter(None, (shutil.which(name) for name in (beside, "limactl") if name)), "")
    if path and not given and intel_lima(path, arch):
        refuse(
            f"{path} is an Intel Lima under translation, but this Mac has Apple silicon; a native one is needed.",
            "install Homebrew in /opt/homebrew (https://brew.sh), then `/opt/homebrew/bin/brew install lima`",
        )
    return path


def check_lima(path, minimum, brew):
    found = version(path)
    if not found:
        refuse(f"{path} does not tell its version; Lima {minimum} or newer is needed.", f"run `{path} --version` to see why")
    if key(found) < key(minimum):
        refuse(f"Lima {found} is too old; {minimum} or newer is needed.", f"run `{brew or 'brew'} upgrade lima`, then `cai setup` again")
    return found


def look(params, module):
    system = say("uname", "-s")
    check_system(system, params["minimum_macos"])
    check_name(params["name"])
    check_images(params["images"])
    check_proxies(params["proxy"])
    policy_of(params["egress"], params["egress_allow"], params["proxy"])
    arch = architecture(system)
    home = os.path.abspath(os.path.expanduser(params["home"] or os.environ.get("LIMA_HOME") or "~/.lima"))
    folder = os.path.join(home, params["name"])
    check_paths(folder, system)
    check_owner(folder)
    check_disk(home, folder, params["minimum_disk"])
    brew, problem = find_brew(params["brew"], arch) if system == "Darwin" else ("", "")
    limactl = find_limactl(params["limactl"], brew, arch)
    found = check_lima(limactl, params["minimum_lima"], brew) if limactl else ""
    docker = shutil.which("docker") or next(filter(None, (shutil.which("docker", path=os.path.expanduser(place)) for place in DOCKER_DIRS)), "")
    missing = [formula for formula, there in (("lima", limactl), ("docker", docker)) if not there]
    if params["missing_ok"] and not params["report"]:
        check_removal(folder, limactl)
    check_missing(missing, system, problem, module)
    for name in ("default.yaml", "override.yaml"):
        if os.path.exists(os.path.join(home, "_config", name)):
            module.warn(f"Lima merges {os.path.join(home, '_config', name)} into the VM's settings at every start; what it says is not compared.")
    if system == "Linux" and not params["missing_ok"]:
        check_kvm(module)
    return {
        "system": system, "architecture": arch, "brew": brew, "brew_problem": problem,
        "limactl": limactl, "lima_version": found, "docker": docker, "missing": missing,
        "home": home, "directory": folder, "socket": os.path.join(folder, "sock", "docker.sock"),
    }  # fmt: skip


def finding(status, found, hint=""):
    return {"part": "this machine", "status": status, "found": found, "hint": hint}


def findings(host):
    if host["missing"]:
        problem = host["brew_problem"]
        return [finding("fail", f"missing: {', '.join(host['missing'])}. {problem}".strip(), GET_BREW if problem else "run `cai setup`")]
    return [finding("pass", f"{host['system']} on {host['architecture']}, Lima {host['lima_version']}, docker CLI {host['docker']}")]


def check_removal(folder, limactl):
    if not limactl and os.path.exists(os.path.join(folder, "lima.yaml")):
        refuse(
            f"The VM is in {folder}, but limactl, which stops and deletes it, is missing.",
            "run `brew install lima` (or name it: `cai uninstall -e lima_vm_limactl=PATH`), then `cai uninstall` again",
        )


def check_missing(missing, system, problem, module):
    if not missing or module.params["missing_ok"]:
        return
    if system == "Linux":
        refuse(
            f"Missing on this host: {', '.join(missing)}. On Linux these are not installed by this role.",
            "install Lima 2.0 or newer, QEMU and a docker CLI (`sudo apt-get install docker-cli qemu-system`)",
        )
    if problem and not module.check_mode:
        refuse(problem, GET_BREW)
    if problem:
        module.warn(f"{problem} The run itself will stop here until you {GET_BREW}.")


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "egress": {"type": "str", "default": "open"},
            "egress_allow": {"type": "list", "elements": "dict", "default": []},
            "home": {"type": "str", "default": ""},
            "limactl": {"type": "str", "default": ""},
            "brew": {"type": "str", "default": ""},
            "images": {"type": "list", "elements": "dict", "default": []},
            "proxy": {"type": "dict", "default": {}},
            "minimum_macos": {"type": "str", "default": "13.5"},
            "minimum_lima": {"type": "str", "default": "2.0.0"},
            "minimum_disk": {"type": "int", "default": 20},
            "missing_ok": {"type": "bool", "default": False},
            "report": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        host = look(module.params, module)
        module.exit_json(changed=False, host=host, **({"findings": findings(host)} if module.params["report"] else {}))
    except Failure as error:
        if module.params["report"]:
            module.exit_json(changed=False, host={}, findings=[finding("fail", error.message, error.hint)])
        module.fail_json(**error.told)


if __name__ == "__main__":
    main()
