"""The engine's part of the health report: what is found, and the command that mends it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket

from ansible.module_utils.containai.engine_api import NoAnswer, answer
from ansible.module_utils.containai.findings import finding
from ansible.module_utils.containai.running import RESTART, Unknown, info
from ansible.module_utils.containai.systemd import unit_state
from ansible.module_utils.containai_engine_state import adrift, dedicated, group_name, network_problem, program_version, replaced, socket_wrong

ANSWER_SECONDS = 10


def report(params):
    """Return findings about the engine, its socket and its network, and whether the engine can be used from here."""
    unit, path = params["unit"], params["socket"]
    state = unit_state(unit)
    if state.get("LoadState") != "loaded":
        return {"findings": [finding("engine", "fail", f"{unit} is not set up", "run `cai setup`")], "ready": False}
    if state.get("ActiveState") != "active":
        found = f"{unit} is {state.get('ActiveState')}"
        return {"findings": [finding("engine", "fail", found, f"run `sudo systemctl restart {' '.join([*params['helpers'], unit])}`")], "ready": False}
    findings = [socket_finding(params)]
    try:
        said = info(path, ANSWER_SECONDS)
    except Unknown:  # slow is not dead: nothing tells whether it is well, and a restart would end its containers
        found = f"{unit} is active and does not answer on {path} within {ANSWER_SECONDS} seconds"
        findings.append(finding("engine", "unknown", found, f"wait and run `cai doctor` again; `journalctl -u {unit}` shows what the engine does"))
        return {"findings": findings, "ready": False}
    except PermissionError:
        ours = findings[0]["status"] == "pass"
        found = f"{unit} is active; this user may not use {path}"
        findings.append(finding("engine", "warn" if ours else "unknown", found, f"log out and in again, or run `newgrp {params['group']}`" if ours else ""))
        return {"findings": findings, "ready": False}
    if not said:
        findings.append(finding("engine", "fail", f"{unit} is active but does not answer on {path}", f"run `sudo systemctl restart {unit}`"))
        return {"findings": findings, "ready": False}
    if state.get("UnitFileState") != "enabled":
        findings.append(
            finding("engine", "warn", f"Docker {said.get('ServerVersion')} answers, but {unit} does not start at boot", f"run `sudo systemctl enable {unit}`")
        )
    elif replaced(unit, state, said):
        findings.append(replaced_finding(said))
    else:
        findings.append(finding("engine", "pass", f"Docker {said.get('ServerVersion')} answers on {path}"))
    if params["check"]:
        beside = [*network_findings(params, state), *ports_findings(path)] if dedicated(unit) else []
        findings += [*beside, *egress_findings(None if beside else network_problem(params["check"]))]
    return {"findings": findings, "ready": True}


def replaced_finding(said):
    """Return that somebody upgraded Docker under the running engine."""
    runs, there, containers = said.get("ServerVersion"), program_version(), said.get("ContainersRunning")
    newer = f": dockerd is {there} by now" if there and there != runs else ""
    hint = f"run {RESTART}, which restarts it and ends its running containers ({containers})" if containers else "run `cai setup`, which restarts it"
    return finding("engine", "warn", f"Docker {runs} answers, and its programs were replaced since it started{newer}", hint)


def socket_finding(params):
    path, group = params["socket"], params["group"]
    mend = f"run `sudo systemctl restart {params['unit']}`"
    try:
        there = os.stat(path)
    except OSError as error:
        return finding("socket", "fail", f"{path}: {error.strerror}", mend)
    found = f"{path} has mode {there.st_mode & 0o777:04o} and group {group_name(there.st_gid)}"
    if socket_wrong(path, group):
        return finding("socket", "fail", f"{found}; 0660 and {group} are needed", f"run `sudo chgrp {group} {path} && sudo chmod 660 {path}`")
    return finding("socket", "pass", found)


EGRESS, NETWORK = "/usr/local/libexec/containai/egress.json", "/usr/local/libexec/containai/network.json"
SYSCTLS, TABLES = "/proc/sys/net/ipv4", ("/proc/net/tcp", "/proc/net/tcp6")
LINK, SIOCGIFADDR = "cai0", 0x8915
DNS_PORT, NAME_SECONDS, SERVFAIL = 53, 10.0, 2  # the relay gives a silent server three seconds
IN_FORCE = {
    "open": "containers may connect everywhere but to the metadata address of clouds",
    "no-private": "containers may connect everywhere but to private and link-local addresses and to this host",
    "list": "containers may connect nowhere",
}


def egress_findings(problem=None):
    """Return what is in force. `problem`: what is wrong with the rules of a VM; beside other engines that is the network's finding."""
    if problem:
        return [finding("egress", "fail", problem, "run `cai setup`")]
    try:
        with open(EGRESS, encoding="utf-8") as handle:
            policy = json.load(handle)
        allowed = [f"{item['network']} ({', '.join([item['protocol'], *item['ports']])})" for item in policy["allow"]]
        found = f"{policy['mode']}: {IN_FORCE[policy['mode']]}{', but to ' + ', '.join(allowed) if allowed else ''}"
    except (OSError, ValueError, KeyError, TypeError):
        return [finding("egress", "fail", f"{EGRESS} is missing or cannot be read", "run `cai setup`")]
    return [finding("egress", "pass", found)]


def ports_findings(path):
    """Return whether what containers publish over TCP is listened to on this host, which takes a docker-proxy for each; nothing if they publish nothing.

    The canary for a Docker that starts its proxies only where it needs them itself (moby/moby#14856).
    """
    try:
        containers = answer(path, "/containers/json", ANSWER_SECONDS) or []
    except (NoAnswer, PermissionError):
        return []
    published = {port["PublicPort"]: item["Names"][0].lstrip("/") for item in containers for port in item.get("Ports", []) if is_published(port)}
    lost = sorted(set(published) - listening())
    if lost:
        name = published[lost[0]]
        found = f"port {lost[0]} of the container {name} is published, and nothing listens to it on this host"
        return [finding("ports", "fail", found, f"run `docker --context containai-secure restart {name}`; report it if it stays")]
    return [finding("ports", "pass", f"published and listened to: {', '.join(map(str, sorted(published)))}")] if published else []


def is_published(port):
    return port.get("Type") == "tcp" and "PublicPort" in port and ":" not in port.get("IP", "")


def listening():
    """Return the TCP ports that something on this host listens to."""
    found = set()
    for table in TABLES:
        try:
            with open(table, encoding="ascii") as handle:
                lines = [line.split() for line in handle]
        except OSError:
            continue
        found |= {int(words[1].rpartition(":")[2], 16) for words in lines[1:] if len(words) > 3 and words[3] == "0A"}
    return found


def network_findings(params, state):
    if os.geteuid() == 0 and adrift(params["unit"], state):
        units = " ".join([*params["helpers"], params["unit"]])
        return [finding("network", "fail", "the engine does not run in the network namespace containai", f"run `sudo systemctl restart {units}`")]
    mend = "run `sudo /usr/local/libexec/containai/network up`"
    if os.geteuid() != 0:
        if not (os.path.exists("/run/netns/containai") and os.path.exists(f"/sys/class/net/{LINK}")):
            return [finding("network", "fail", "the network namespace containai or its link cai0 is missing", "run `cai setup`")]
        problem, whole = visible_problem(), "namespace containai and its link are there (its rules can be seen by root only)"
    else:
        problem, whole = network_problem(params["check"]), "namespace, link and rules are there"
    if problem:
        return [finding("network", "fail", problem, mend)]
    return [finding("network", "pass", whole), names_finding()]


def visible_problem():
    """Return what an ordinary user can see to be wrong with the network; None if that is nothing."""
    for name in ("ip_forward", f"conf/{LINK}/forwarding", f"conf/{LINK}/proxy_arp"):
        try:
            with open(f"{SYSCTLS}/{name}", encoding="ascii") as handle:
                value = handle.read().strip()
        except OSError:
            continue
        if value == "0":
            return f"net.ipv4.{name.replace('/', '.')} is 0"
    return None if has_address(LINK) else f"the address of {LINK} is missing"


def has_address(device):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, SIOCGIFADDR, device.encode().ljust(32, b"\0"))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def names_finding():
    """Ask for a name where containers ask for theirs; any answer will do."""
    mend = "run `sudo systemctl restart containai-relay.service`"
    try:
        with open(NETWORK, encoding="utf-8") as handle:
            engine = json.load(handle)["engine"]
    except (OSError, ValueError, KeyError):
        return finding("names", "fail", f"{NETWORK} is missing or cannot be read", "run `cai setup`")
    code = answer_code(engine)
    if code is None:
        return finding("names", "fail", f"names do not resolve in the engine: {engine} does not answer", mend)
    if code == SERVFAIL:
        found = f"{engine} answers that this host's own resolver does not"
        return finding("names", "warn", found, "run `getent hosts docker.com` to see whether this host resolves names")
    return finding("names", "pass", f"{engine} answers, with what this host's resolver says")


def answer_code(server):
    """Return the code of a DNS server's answer to the question for localhost, which every resolver knows by itself; None without an answer."""
    question = b"\xca\x11\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(NAME_SECONDS)
            sock.connect((server, DNS_PORT))
            sock.send(question)
            said = sock.recv(4096)
    except OSError:
        return None
    return said[3] & 0xF if len(said) >= len(question) and said[:2] == question[:2] else None
