"""Another engine of the host, as it can be seen from outside: its socket, its units, its running containers and their published ports."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess

from ansible.module_utils.containai_engine_api import ask

UNITS = ("docker.service", "docker.socket")
STATE = "LoadState,UnitFileState,ActiveState,InvocationID,MainPID"


class OtherEngine:
    """The engine of Docker's usual socket and units. Programs come from `path` alone. It is asked for its version and its containers, and nothing is changed."""

    def __init__(self, socket_path, path):
        self.socket, self.path = socket_path, path
        self.units = {unit: self._unit(unit) for unit in UNITS}
        # A question would wake it: systemd listens for it, and it does not run.
        listens, runs = ("ActiveState=active" in (self.units[unit] or "") for unit in ("docker.socket", "docker.service"))
        self.asleep = listens and not runs

    def identity(self):
        """The engine's own ID; None where none answers, or not to this user."""
        return (self._ask("/info") or {}).get("ID")

    def owner(self):
        """Whose the socket is; None where there is none."""
        try:
            there = os.stat(self.socket)
        except OSError:
            return None
        return f"owner {there.st_uid}:{there.st_gid}, mode {there.st_mode & 0o7777:04o}, inode {there.st_ino}"

    def containers(self):
        """Running containers: {id: what of it must not change}."""
        running = self._ask("/containers/json") or []
        forwarded = self._forwarded() if any(item.get("Ports") for item in running) else set()
        found = {}
        for item in running:
            state = (self._ask(f"/containers/{item['Id']}/json") or {}).get("State", {})
            ports = sorted({(port["PublicPort"], port["Type"]) for port in item.get("Ports", []) if port.get("PublicPort")})
            open_ports = [_port(port, kind, (port, kind) in forwarded) for port, kind in ports]
            name = (item.get("Names") or ["?"])[0].lstrip("/")
            found[item["Id"]] = {"name": name, "value": f"pid {state.get('Pid')}, started {state.get('StartedAt')}, ports {open_ports}"}
        return found

    def _ask(self, question):
        try:
            return None if self.asleep else ask(self.socket, question)
        except PermissionError:
            return None

    def _unit(self, unit):
        """State of a unit; a changed InvocationID is a restart. None where there is no systemctl."""
        if not shutil.which("systemctl", path=self.path):
            return None
        said = self._say("systemctl", "show", "-p", STATE, unit)
        state = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        if state.get("LoadState") != "loaded" or (state.get("UnitFileState") == "disabled" and state.get("ActiveState") == "inactive"):
            return "not in use"
        return ", ".join(f"{key}={state.get(key, '')}" for key in STATE.split(",")[1:])

    def _forwarded(self):
        """The published ports that Docker's NAT rules forward, as {(port, protocol)}; none where only root could see them."""
        programs = [program for program in ("iptables", "iptables-legacy") if shutil.which(program, path=self.path)]
        rules = "\n".join(self._say(program, "-w", "10", "-t", "nat", "-S", "DOCKER") for program in programs)
        return {(int(port), kind) for kind, port in re.findall(r"-p (\w+) .*--dport (\d+) -j DNAT", rules)}

    def _say(self, *command):
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": self.path}, stdin=subprocess.DEVNULL, check=False).stdout


def _port(port, kind, forwarded):
    """Whether a published port answers, and whether the kernel forwards it: without its rule a docker-proxy still answers, and hides the loss."""
    answers = "answers" if kind != "tcp" or connects(port) else "is closed"
    return f"{port}/{kind} {answers}{' and is forwarded' if forwarded else ''}"


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=3).close()
    except OSError:
        return False
    return True
