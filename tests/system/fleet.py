"""Several hosts, an inventory of them, and a controller, as an ops team has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.hosts import engine, galaxy, host, paths
from tests.system import stage
from tests.system.box import Box

SCHEMA = json.loads((paths.ROOT / "docs/fleet-report.schema.json").read_text())
CONNECTION = {
    "ansible_connection": "community.docker.docker",
    "ansible_user": "root",
    "ansible_python_interpreter": "/usr/bin/python3",
}


class Fleet:
    """Hosts, an inventory of them, and a controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boxes: dict[str, Box] = {}
        # Port 1 of the loopback answers nobody.
        gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_user": "root"}
        self.inventory: dict[str, dict[str, Any]] = {"gone": gone}

    def add(self, name: str, *words: str, **more: Any) -> Box:
        """Start a host and list it under its name."""
        self.boxes[name] = box = stage.start(f"fleet-{name}", *words, **more)
        path, sha256 = stage.packages()["0.7.1"]
        self.inventory[name] = {
            **CONNECTION, "ansible_host": host.container(box.name), "docker_context_user": "dev",
            "docker_engine_source": "distro", "sysbox_deb": path, "sysbox_sha256": {"amd64": sha256},
        }  # fmt: skip
        return box

    def listed(self) -> Path:
        """The inventory as a file."""
        inventory = self.folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": self.inventory}}))
        return inventory

    def run(
        self, *command: str | Path, cwd: Path = paths.ROOT, collections: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's programs as the controller; `more` are variables of its environment."""
        address = engine.docker_host()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": ":".join(filter(None, [collections, str(galaxy.ensure())])),
            "LC_ALL": "C.UTF-8",
            **({"DOCKER_HOST": address} if address else {}),
            **more,
        }
        return subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=3000,
        )  # fmt: skip

    def play(self, playbook: str, *words: str, **more: Any) -> tuple[int, str, dict[str, dict[str, Any]]]:
        """Run a playbook on all of them; returns the exit code, the output and the report's hosts by name."""
        made = self.folder / "report"
        named = playbook if "/" in playbook or ".yml" not in playbook else f"playbooks/{playbook}"
        done = self.run("ansible-playbook", "-i", self.listed(), named, "-e", f"cai_report_dir={made}", *words, **more)
        return done.returncode, done.stdout + done.stderr, self.report()

    def report(self) -> dict[str, dict[str, Any]]:
        """The hosts of the report that was written last, by name."""
        document = json.loads((self.folder / "report" / "report.json").read_text())
        jsonschema.validate(document, SCHEMA)
        return {one["host"]: one for one in document["hosts"]}

    def down(self) -> None:
        """Remove the hosts."""
        for box in self.boxes.values():
            host.down(box.name)


def outcomes(report: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["outcome"] for name, one in report.items()}
