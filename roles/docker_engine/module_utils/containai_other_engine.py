"""Another engine of the host, as it can be seen from outside: its socket, its units, its running containers and their published ports."""

from __future__ import annotations

import os
import re
import socket
import struct

from ansible.module_utils.containai.engine_api import NoAnswer, answer
from ansible.module_utils.containai.process import run, which
from ansible.module_utils.containai_in_use import is_in_use
from ansible.module_utils.containai_links import listening

UNITS = ("docker.service", "docker.socket")
STATE = "LoadState,UnitFileState,ActiveState,InvocationID"
SECONDS = 10


class OtherEngine:
    """The engine of Docker's usual socket and units. It is asked for its version and its containers, and nothing is changed."""

    def __init__(self, socket_path):
        self.socket = socket_path
        self.units = {unit: self._unit(unit) for unit in UNITS}
        # A question would wake it: systemd listens for it, and it does not run.
        listens, runs = ((self.units[unit] or {}).get("ActiveState", "") for unit in ("docker.socket", "docker.service"))
        self.asleep = listens == "active" and runs not in ("active", "activating", "reloading", "deactivating")
        self.unknown = False

    def engine(self):
        """Whether it answers ("yes", "no" or "unknown": it is there and slow), its ID, the process and the file of its socket."""
        info = self._ask("/info")
        identity = (info or {}).get("ID")
        if info is not None and self._is_podman():  # it makes up an ID for each answer
            identity = "Podman"
        answers = "unknown" if self.unknown else "yes" if identity else "no"
        return {"answers": answers, "id": identity, "process": self._process() if identity else None, "owner": self._owner()}

    def containers(self):
        """Running containers: {id: {name, pid, started, ports: {"80/tcp": {listens, forwarded}}, addresses}}."""
        running = self._ask("/containers/json") or []
        published = any(item.get("Ports") for item in running)
        forwarded, heard = (self._forwarded(), listening()) if published else (set(), set())
        found = {}
        for item in running:
            detail = self._ask(f"/containers/{item['Id']}/json") or {}
            state = detail.get("State", {})
            ports = {f"{port['PublicPort']}/{port['Type']}" for port in item.get("Ports", []) if port.get("PublicPort")}
            found[item["Id"]] = {
                "name": (item.get("Names") or ["?"])[0].lstrip("/"),
                "pid": state.get("Pid"),
                "started": state.get("StartedAt"),
                "ports": {port: {"listens": port in heard, "forwarded": port in forwarded} for port in sorted(ports)},
                "addresses": sorted(_addresses(item)),
            }
        return found

    def networks(self):
        """The bridges of its networks: {name of the link: subnets}."""
        found = {}
        for item in self._ask("/networks") or []:
            name = (item.get("Options") or {}).get("com.docker.network.bridge.name") or f"br-{item['Id'][:12]}"
            configs = (item.get("IPAM") or {}).get("Config") or []
            found[name] = [config["Subnet"] for config in configs if config.get("Subnet")]
        return found

    def _ask(self, question):
        if self.asleep or self.unknown:
            return None
        try:
            return answer(self.socket, question, SECONDS)
        except PermissionError:
            return None
        except NoAnswer:
            self.unknown = True
            return None

    def _is_podman(self):
        parts = (self._ask("/version") or {}).get("Components") or []
        return any("podman" in part.get("Name", "").lower() for part in parts)

    def _process(self):
        """Which process listens on the socket, and since when: another one means another, or a restarted, engine.

        None for systemd, and for one out of sight.
        """
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(SECONDS)
                asked.connect(self.socket)
                pid, _, _ = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
                return f"process {pid} of {handle.read().rpartition(')')[2].split()[19]}" if pid > 1 else None
        except OSError:
            return None

    def _owner(self):
        """Whose the socket is; None where there is none."""
        try:
            there = os.stat(self.socket)
        except OSError:
            return None
        return f"owner {there.st_uid}:{there.st_gid}, mode {there.st_mode & 0o7777:04o}, inode {there.st_ino}"

    def _unit(self, unit):
        """State of a unit; a changed InvocationID is a restart. None where there is no systemctl, {} for a unit that is not in use."""
        if not which("systemctl"):
            return None
        said = run(["systemctl", "show", "-p", STATE, unit]).stdout
        state = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        return {key: state.get(key, "") for key in STATE.split(",")} if is_in_use(state) else {}

    def _forwarded(self):
        """The published ports that Docker's NAT rules forward, as {"80/tcp"}; none where only root could see them."""
        programs = [program for program in ("iptables", "iptables-legacy") if which(program)]
        rules = "\n".join(run([program, "-w", "10", "-t", "nat", "-S", "DOCKER"]).stdout for program in programs)
        return {f"{port}/{kind}" for kind, port in re.findall(r"-p (\w+) .*--dport (\d+) -j DNAT", rules)}


def _addresses(item):
    networks = ((item.get("NetworkSettings") or {}).get("Networks") or {}).values()
    return {network[key] for network in networks for key in ("IPAddress", "GlobalIPv6Address") if network and network.get(key)}
