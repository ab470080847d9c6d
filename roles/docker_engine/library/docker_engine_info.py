#!/usr/bin/python
"""Look at a host once: what it is, what of other engines is on it, and how the secure engine is."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_engine_health import report
from ansible.module_utils.containai_host import described, look
from ansible.module_utils.containai_other_engines import finding_of, settings_of, snapshot
from ansible.module_utils.containai_programs import complete

DOCUMENTATION = r"""
module: docker_engine_info
short_description: Read what a host is, what of other engines is on it, and how the secure engine is
description:
  - Changes nothing, ever, and needs no rights; what an ordinary user cannot read is said in a warning.
  - C(host) is the host's platform, distribution, architecture, kernel, user and Docker's programs. It fails on WSL1, a host without systemd, a container,
    snap's Docker, a distribution with no supported base, a kernel that is too old, a link subnet in use, or a daemon.json that the engine could not start with.
    A derivative of Ubuntu or Debian is returned as what it is built on, with its own name as C(derivative), and a warning that it is not tested.
  - C(others) is a snapshot of everything Docker that is not the secure engine's, for M(docker_engine_compare). Seen are the docker contexts except the secure
    one, the active one, C(~/.docker/config.json) and C(daemon.json), C(/var/run/docker.sock) (owner, mode, which engine answers), C(/usr/bin/docker), the
    C(docker.service) and C(docker.socket) of the host, the running containers with their published ports (whether somebody listens, and whether a NAT rule
    forwards them), the packages, firewall rules, firewalld's zones, links and routes. No port is connected to. The other engine is asked for its version,
    its containers and its networks, and nothing if a question would start it.
  - C(engine) is the health of the secure engine, its socket and its network, for I(report).
options:
  gather_subset: {type: list, elements: str, choices: [host, others, engine], default: [host], description: What to look at.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report of what is looked at, and no snapshot. An unsupported host fails even so, with its finding."}
  platform: {type: str, default: any, choices: [any, wsl2, linux], description: The platform that the playbook is for.}
  supported: {type: dict, default: {}, description: "Oldest supported version by distribution id, such as C({ubuntu: '22.04'})."}
  minimum_kernel: {type: str, default: '0', description: "Oldest kernel, such as C(5.12)."}
  daemon_json: {type: path, default: /etc/docker/daemon.json, description: The daemon.json that the engine will read.}
  link_subnet: {type: str, default: '', description: "IPv4 network of two hosts or more for the engine's link, such as C(10.213.77.0/30); empty means a free one."}
  egress: {type: str, choices: [open, no-private, list], default: open, description: Where containers may connect to.}
  egress_allow: {type: list, elements: dict, default: [], description: "Networks that are allowed besides, as C({network, ports, protocol})."}
  dedicated: {type: bool, default: true, description: Whether the engine is one beside others (then daemon.json may not contradict its unit).}
  user: {type: str, default: '', description: The user the engine is for. Empty means the connecting user.}
  settings: {type: dict, default: {}, description: "Settings that end in units, in apt's sources or on a command line, by their names without C(docker_engine_);
             one that could be read there as something else is refused."}
  config_dir: {type: str, default: '', description: "That user's docker settings (DOCKER_CONFIG). Empty means C(~/.docker)."}
  context: {type: str, default: containai-secure, description: The docker context that may change. So may those of the record.}
  state_dir: {type: path, default: '', description: "Folder of the record. Empty means C(/var/lib/containai)."}
  unit: {type: str, default: containai-docker.service, description: The engine's unit.}
  helpers: {type: list, elements: str, default: [], description: Units that it needs.}
  check: {type: list, elements: str, default: [], description: Command that succeeds while the engine's network is whole.}
  socket: {type: path, default: /var/run/docker-containai.sock, description: The engine's API socket.}
  group: {type: str, default: '', description: "Group that the socket belongs to, with mode 0660; empty means as dockerd made it."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- docker_engine_info:
    gather_subset: [host, others]
    platform: wsl2
    supported: {ubuntu: "22.04", debian: "12"}
    minimum_kernel: "5.12"
  register: __docker_engine_preflight
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: always, description: "parts of a health report; none without I(report)", sample: [{part: platform, status: pass, found: "wsl2, Ubuntu 24.04", hint: ""}]}
complete: {type: bool, returned: with C(host), description: "whether all programs are there, so that nothing is to be installed", sample: true}
host:
  description: what was found
  returned: with C(host)
  type: dict
  sample: {platform: wsl2, distribution: debian, version: "12", codename: bookworm, derivative: "", architecture: amd64, kernel: 6.6.87.2-microsoft-standard-WSL2,
           user: dev, home: /home/dev, dockerd_path: /usr/sbin/dockerd, containerd_path: /usr/bin/containerd,
           link: {subnet: 10.213.77.0/30, prefix: 30, machine: 10.213.77.1, engine: 10.213.77.2}, egress: {mode: open, allow: []}}
snapshot: {type: dict, returned: with C(others), description: "what was seen, by kind", sample: {things: {"the active docker context": "desktop-linux"}}}
ready: {type: bool, returned: with C(engine), description: whether the engine can be used from here, sample: true}
"""


def platform_finding(status, found, hint=""):
    return {"part": "platform", "status": status, "found": found, "hint": hint}


def gather_host(module):
    params = module.params
    report_wanted = params["report"]
    try:
        host = look(params, (lambda _: None) if report_wanted else module.warn)
    except Failure as failure:
        if not report_wanted:
            raise
        finding = platform_finding("fail", failure.message, failure.hint)
        if failure.kind == "precondition":  # the other parts are still worth a look
            return {"findings": [finding]}
        module.fail_json(msg=failure.message, hint=failure.hint, failure=failure.kind, findings=[finding])
    findings = [platform_finding("pass", described(host))] if report_wanted else []
    return {"host": host, "findings": findings, "complete": complete(params["dedicated"])}


def gather_others(module):
    folder, contexts, state_dir = settings_of(module.params)
    if module.params["report"]:
        return {"findings": [finding_of(folder, contexts)]}
    return {"snapshot": snapshot(folder, contexts, state_dir)}


def gather_engine(module):
    return report(module.params) if module.params["report"] else {}


GATHER = {"host": gather_host, "engine": gather_engine, "others": gather_others}


def main():
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "choices": ["host", "others", "engine"], "default": ["host"]},
            "report": {"type": "bool", "default": False},
            "platform": {"type": "str", "default": "any", "choices": ["any", "wsl2", "linux"]},
            "supported": {"type": "dict", "default": {}},
            "minimum_kernel": {"type": "str", "default": "0"},
            "daemon_json": {"type": "path", "default": "/etc/docker/daemon.json"},
            "link_subnet": {"type": "str", "default": ""},
            "egress": {"type": "str", "choices": ["open", "no-private", "list"], "default": "open"},
            "egress_allow": {"type": "list", "elements": "dict", "default": []},
            "dedicated": {"type": "bool", "default": True},
            "user": {"type": "str", "default": ""},
            "settings": {"type": "dict", "default": {}},
            "config_dir": {"type": "str", "default": ""},
            "context": {"type": "str", "default": "containai-secure"},
            "state_dir": {"type": "path", "default": ""},
            "unit": {"type": "str", "default": "containai-docker.service"},
            "helpers": {"type": "list", "elements": "str", "default": []},
            "check": {"type": "list", "elements": "str", "default": []},
            "socket": {"type": "path", "default": "/var/run/docker-containai.sock"},
            "group": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    # A result repeats the arguments, and AWX keeps results.
    module.no_log_values.update(str(value) for value in (module.params["settings"].get("proxy") or {}).values() if "@" in str(value))
    found, findings = {}, []
    try:
        for part, gather in GATHER.items():
            if part in module.params["gather_subset"]:
                seen = gather(module)
                findings += seen.pop("findings", [])
                found.update(seen)
    except Failure as failure:
        module.fail_json(**failure.told, findings=findings)
    module.exit_json(changed=False, findings=findings, **found)


if __name__ == "__main__":
    main()
