#!/usr/bin/python
"""Bring a Lima instance to its wanted state, with the least that does it."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai_lima_drift import actions_of, drift, keep, steps
from ansible.module_utils.containai_lima_health import findings
from ansible.module_utils.containai_lima_progress import cache, telling
from ansible.module_utils.containai_limactl import Lima, answers

try:
    import yaml
except ImportError:
    yaml = None

DOCUMENTATION = r"""
module: lima_vm_instance
short_description: Create, correct, start, repair, stop or delete one Lima instance
description:
  - Compares the stored lima.yaml with I(config). What Lima reads at a start is applied by validate, stop, write, start; what needs a new disk
    (images, vmType, arch, user, a smaller disk) is reported, and done only with I(recreate), since it destroys what the guest holds.
  - A stopped instance is started. A transient Broken is waited out, a lasting one repaired (guest shut down where it listens, processes that are the
    instance's own ended, stale pid and socket files cleared). A forwarded socket that is dead while the guest's Docker answers is led to it anew, which
    leaves what runs there alone. Where that does not help, or the guest cannot be reached, the instance is restarted.
  - A start that fails stops the instance again and shows the end of its logs. Touches no other instance.
  - With neither limactl nor an instance, check mode still says what would be done. Needs PyYAML.
  - Running containers are not ended by C(stopped) and C(absent) without I(stop_containers); in check mode they are listed in C(confirm).
options:
  name: {type: str, required: true, description: The instance.}
  state:
    type: str
    default: started
    choices: [present, started, stopped, absent]
    description: C(absent) destroys the guest's data; C(stopped) keeps it.
  config: {type: str, default: '', description: The wanted lima.yaml; a self-contained template. Needed with I(state=present) and I(state=started).}
  limactl: {type: str, default: '', description: Absolute path of limactl; may be empty in check mode.}
  home: {type: path, required: true, description: LIMA_HOME.}
  recreate: {type: bool, default: false, description: Delete and create the instance where only that applies a change.}
  require_socket: {type: bool, default: false, description: "Docker must answer on the forwarded socket; it is restarted once for that, then the module fails."}
  stop_containers: {type: bool, default: false, description: Stop or delete the VM although containers run in it.}
  brew: {type: str, default: '', description: "Path of the Homebrew that Lima came from; what it leaves is told after a deletion."}
  guest_plan: {type: list, elements: dict, default: [], description: Actions to add in check mode when the instance does not run and so cannot be looked into.}
  create_timeout: {type: int, default: 3600, description: Seconds for the download of the image.}
  start_timeout: {type: int, default: 1800, description: Seconds for the start.}
  settle: {type: float, default: 15.0, description: Seconds to wait out a transient Broken.}
  progress: {type: str, default: '', description: File in which the download and the stages of the boot are told.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""
EXAMPLES = r"""
- lima_vm_instance:
    name: containai-secure
    config: "{{ lookup('template', 'containai-secure.yaml.j2') }}"
    limactl: /opt/homebrew/bin/limactl
    home: /Users/dev/.lima
"""
RETURN = r"""
running: {type: bool, returned: always, description: whether it runs now, sample: true}
socket: {type: str, returned: always, description: Docker's socket on this host, sample: /Users/dev/.lima/containai-secure/sock/docker.sock}
ssh_config: {type: str, returned: always, description: for C(ssh -F), sample: /Users/dev/.lima/containai-secure/ssh.config}
actions: {type: list, elements: dict, returned: always, description: what was done, sample: [{verb: start, what: Lima VM containai-secure}]}
findings: {type: list, elements: dict, returned: with I(report), description: parts of a health report, sample: [{part: VM, status: pass, found: it runs, hint: ""}]}
confirm: {type: list, elements: str, returned: in check mode of a removal, description: what would be ended, sample: [container web]}
reachable: {type: bool, returned: with I(report), description: whether the guest can be looked into, sample: true}
log: {type: list, elements: str, returned: always, description: limactl's commands and its own output, sample: ["$ limactl start containai-secure"]}
"""

SOCKET_SECONDS = 90


class Converger:
    """What is there, what is wanted, and the way from one to the other."""

    def __init__(self, lima, params, warn):
        self.lima, self.params, self.warn = lima, params, warn
        self.reasons = []
        self.wanted = params["config"]

    def compare(self, status):
        """Return (what to write or None, whether to recreate)."""
        stored = self.lima.stored()
        if status is None or self.params["state"] in ("stopped", "absent"):
            return None, False
        try:
            before = yaml.safe_load(stored or "")
        except yaml.YAMLError:
            before = None
        if not isinstance(before, dict):
            self.reasons.append("lima.yaml is not readable")
            return self.wanted, False
        recreate, restart = drift(before, yaml.safe_load(self.wanted))
        if not any(os.path.exists(os.path.join(self.lima.dir, disk)) for disk in ("disk", "diffdisk")):
            recreate, restart = [], recreate + restart  # it never booted, so there is nothing to lose
        if recreate and self.params["recreate"]:
            self.reasons.append(f"{', '.join(recreate)} changed")
            return None, True
        if recreate:
            self.warn(
                f"The VM {self.lima.name} was made with other settings for {', '.join(recreate)}. They stay as they are: applying them "
                "destroys the VM's containers and images. To do that, run `cai setup -e lima_vm_recreate=true`."
            )
        if not restart:
            return None, False
        self.reasons.append(f"{', '.join(restart)} changed")
        if not recreate:
            return self.wanted, False
        comment = "".join(line for line in self.wanted.splitlines(keepends=True) if line.startswith("# Made by"))  # whose it is
        return comment + yaml.safe_dump(keep(before, yaml.safe_load(self.wanted), recreate), sort_keys=False), False

    def dead(self, status):
        """What a dead forward needs: the host gets no answer, although the guest does, or cannot be reached at all. "" where all is well."""
        if status != "Running" or self.params["state"] != "started" or answers(self.lima.socket):
            return ""
        guest = self.lima.guest.engine()
        if guest == "down":  # not installed yet, or for the engine's role to start
            return ""
        self.reasons.append("its Docker socket is dead" if guest == "up" else "it cannot be reached")
        return "forward" if guest == "up" else "stop"

    def plan(self):
        status = self.lima.status(self.params["settle"]) if self.lima.limactl else None
        write, recreate = self.compare(status)
        dead = "" if write or recreate else self.dead(status)
        if status not in (None, "Running", "Stopped"):
            self.reasons.append(f"Lima calls it {status or 'unusable'}")
        return status, write, steps(self.params["state"], status, bool(write), recreate, dead)

    def validate(self, names, write):
        if ("write" in names or "create" in names) and self.lima.limactl:
            self.lima.validate(write or self.wanted)

    def carry_out(self, names, write):
        """Do the steps; returns them, or the restart that it took instead."""
        arguments = {"create": (self.wanted, self.params["create_timeout"]), "start": (self.params["start_timeout"],), "write": (write,)}
        done = [getattr(self.lima, name)(*arguments.get(name, ())) for name in names]
        if names == ["forward"] and done == [False]:
            return self.carry_out(["stop", "start"], write)
        return names

    def containers(self, status):
        """What runs in a VM that is to be stopped or deleted."""
        if status != "Running" or self.params["state"] not in ("stopped", "absent"):
            return []
        try:
            found = ask(self.lima.socket, "/containers/json")
        except PermissionError:
            found = None
        return [f"container {item['Names'][0].lstrip('/')}" for item in found] if found is not None else ["the VM, whose containers cannot be listed"]

    def refuse_live(self, live):
        names = [one.partition(" ")[2] for one in live if one.startswith("container ")]
        if names and not self.params["stop_containers"]:
            raise Failure(
                f"Containers run in the VM {self.lima.name}: {', '.join(names)}. They have to be stopped first.",
                f"run `docker --host unix://{self.lima.socket} stop {' '.join(names)}`, or go on with `cai uninstall --yes`",
                "precondition",
            )

    def require_socket(self):
        """Restart once where Docker does not answer on this host; True when that was needed."""
        lima = self.lima
        if lima.wait(SOCKET_SECONDS):
            return False
        lima.stop()
        lima.start(self.params["start_timeout"])
        if not lima.wait(SOCKET_SECONDS):
            raise Failure(
                f"Docker in the VM does not answer on {lima.socket}, even after a restart of the VM.",
                f"run `limactl shell {lima.name} sudo journalctl -u docker -n 50`",
            )
        return True


def diff_of(lima, names, write, wanted):
    if not {"create", "write", "delete"} & set(names):
        return []
    after = write or (wanted if "create" in names else "")
    return [{"before_header": lima.yaml, "after_header": lima.yaml, "before": mask(lima.stored() or ""), "after": mask(after)}]


def converge(module):
    params = module.params
    lima = Lima(params["limactl"], params["home"], params["name"])
    converger = Converger(lima, params, module.warn)
    state = {"socket": lima.socket, "ssh_config": lima.ssh_config, "log": lima.log}
    status, write, names = converger.plan()
    if params["report"]:
        reachable = status == "Running" and lima.guest.run("true") == 0
        found = findings(lima, status, converger.reasons if names else [], bool({"start", "forward"} & set(names)), reachable)
        return {"changed": False, "running": status == "Running", "reachable": reachable, "findings": found, **state}
    live = converger.containers(status)
    converger.validate(names, write)
    actions, diff = actions_of(names, lima.name, converger.reasons), diff_of(lima, names, write, params["config"])
    if module.check_mode:
        running = status == "Running"
        # What a running VM lacks is found out inside it; of any other only the setup's own steps are known.
        guest = params["guest_plan"] if params["state"] == "started" and not running else []
        return {"changed": bool(names), "running": running, "actions": actions + guest, "diff": diff, "confirm": live, **state}
    converger.refuse_live(live)
    with telling(params["progress"], os.path.join(lima.dir, "ha.stderr.log"), cache(os.environ, os.path.expanduser("~"))):
        actions = actions_of(converger.carry_out(names, write), lima.name, converger.reasons)
    if params["require_socket"] and converger.require_socket():
        actions.append({"verb": "restart", "what": f"Lima VM {lima.name} (its Docker socket was dead)"})
    running = params["state"] == "started" or (status == "Running" and params["state"] == "present")
    notes = []
    if "create" in names:
        notes = [f"The VM starts and stops with `limactl start {lima.name}` and `limactl stop {lima.name}`."]
    elif params["state"] == "stopped" and status is not None:
        notes = [f"The VM {lima.name} is stopped and kept, with its containers and images; `cai uninstall --purge` deletes it."]
    elif "delete" in names and params["state"] == "absent" and params["brew"]:
        notes = [f"Lima and the docker CLI stay. Where nothing else needs them, `{params['brew']} uninstall lima docker` removes them."]
    return {"changed": bool(actions), "running": running, "actions": actions, "diff": diff, "notes": notes, **state}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "started", "stopped", "absent"], "default": "started"},
            "config": {"type": "str", "default": ""},
            "limactl": {"type": "str", "default": ""},
            "home": {"type": "path", "required": True},
            "recreate": {"type": "bool", "default": False},
            "require_socket": {"type": "bool", "default": False},
            "stop_containers": {"type": "bool", "default": False},
            "brew": {"type": "str", "default": ""},
            "guest_plan": {"type": "list", "elements": "dict", "default": []},
            "create_timeout": {"type": "int", "default": 3600},
            "start_timeout": {"type": "int", "default": 1800},
            "settle": {"type": "float", "default": 15.0},
            "progress": {"type": "str", "default": ""},
            "report": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["config"]), ("state", "started", ["config"])],
        supports_check_mode=True,
    )
    if yaml is None:
        module.fail_json(
            msg="PyYAML is missing in the Python that runs this module.",
            hint="use Ansible's own: `-e ansible_python_interpreter={{ ansible_playbook_python }}`",
            failure="precondition",
        )
    try:
        module.exit_json(**converge(module))
    except Failure as error:
        if module.params["report"]:
            found = {"part": "VM", "status": "fail", "found": error.message, "hint": error.hint}
            module.exit_json(changed=False, running=False, reachable=False, findings=[found])
        module.fail_json(**error.told)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A file of the VM'} cannot be written: {error.strerror}.",
            hint=f"run `df -h {module.params['home']} /tmp`, make room or mend what it shows, then try again", failure="failed",
        )  # fmt: skip


if __name__ == "__main__":
    main()
