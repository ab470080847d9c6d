"""`playbooks/site.yml` over several hosts at once, from a controller, as an ops team runs it; and its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
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

    def play(self, playbook: str, *words: str) -> tuple[int, str, dict[str, dict[str, Any]]]:
        """Run a playbook on all of them; returns the exit code, the output and the report's hosts by name."""
        inventory, made = self.folder / "hosts.yml", self.folder / "report"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": self.inventory}}))
        address = engine.docker_host()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(galaxy.ensure()),
            "LC_ALL": "C.UTF-8",
            **({"DOCKER_HOST": address} if address else {}),
        }
        command = ["ansible-playbook", "-i", str(inventory), f"playbooks/{playbook}", "-e", f"cai_report_dir={made}"]
        done = subprocess.run(
            [*command, *words], cwd=paths.ROOT, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=3000,
        )  # fmt: skip
        document = json.loads((made / "report.json").read_text())
        jsonschema.validate(document, SCHEMA)
        return done.returncode, done.stdout + done.stderr, {one["host"]: one for one in document["hosts"]}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    for box in made.boxes.values():
        host.down(box.name)


def outcomes(report: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["outcome"] for name, one in report.items()}


def test_one_command_gives_each_host_what_it_needs_and_reports_all(fleet: Fleet) -> None:
    native = fleet.add("native", "noble", dress="linux")
    refused = fleet.add("wsl1", "bookworm", dress="wsl1")
    gated = fleet.add("gated", "noble", kind="listener")
    before = {box: box.snapshot() for box in (native, refused, gated)}

    code, text, report = fleet.play("site.yml", "--check")
    assert outcomes(report) == {
        "native": "would_change", "wsl1": "unsupported", "gated": "gate", "gone": "unreachable",
    }, text  # fmt: skip
    for box, was in before.items():
        assert box.snapshot() == was, "check mode changed a host"

    code, text, report = fleet.play("site.yml")
    assert code != 0, "hosts failed"
    assert outcomes(report) == {"native": "changed", "wsl1": "unsupported", "gated": "gate", "gone": "unreachable"}
    assert report["native"]["versions"]["docker"]
    assert "1 changed, 1 unsupported, 1 gate, 1 unreachable" in text
    for box in (refused, gated):
        assert box.snapshot() == before[box], "a host that was refused was changed"
    assert native.isolated()

    _, text, report = fleet.play("site.yml", "--limit", "native")
    assert outcomes(report) == {"native": "ready"}, text
    _, text, report = fleet.play("doctor.yml", "--limit", "native")
    assert outcomes(report) == {"native": "ready"}, text
    assert {"engine", "isolation"} <= {one["part"] for one in report["native"]["findings"]}
    _, text, report = fleet.play("uninstall.yml", "--limit", "native")
    assert outcomes(report) == {"native": "changed"}, text
    assert not native.ok("test -e /var/lib/containai")


@pytest.mark.slow
def test_twelve_hosts_at_once(fleet: Fleet) -> None:
    good = {
        "bookworm-wsl": ("bookworm", "none", "wsl2"), "bookworm-plain": ("bookworm", "plain", "wsl2"),
        "bookworm-linux": ("bookworm", "none", "linux"), "trixie-wsl": ("trixie", "plain", "wsl2"),
        "trixie-linux": ("trixie", "none", "linux"), "noble-wsl": ("noble", "none", "wsl2"),
        "noble-plain": ("noble", "plain", "wsl2"), "noble-linux": ("noble", "none", "linux"),
    }  # fmt: skip
    for name, (suite, kind, dress) in good.items():
        fleet.add(name, suite, kind=kind, dress=dress)
    fleet.add("listener", "trixie", kind="listener")
    fleet.add("wsl1", "bookworm", dress="wsl1")
    broken = fleet.add("broken", "noble", dress="linux")
    broken.write("/etc/docker/daemon.json", '{"debug": true,\n')
    shim = fleet.add("podman", "trixie", dress="linux", setup="podman")
    held = {box: box.snapshot() for box in (broken, shim, fleet.boxes["listener"], fleet.boxes["wsl1"])}

    _, text, report = fleet.play("site.yml", "--forks", "4")
    assert outcomes(report) == {
        **dict.fromkeys(good, "changed"), "listener": "gate", "wsl1": "unsupported", "broken": "precondition",
        "podman": "precondition", "gone": "unreachable",
    }, text  # fmt: skip
    for name in good:
        assert fleet.boxes[name].isolated(), name
    for box, was in held.items():
        assert box.snapshot() == was, f"{box.name} was changed"
    _, text, report = fleet.play("site.yml", "--forks", "4", "-e", "cai_serial=3", "-e", "cai_max_fail_percentage=100")
    assert {name: report[name]["outcome"] for name in good} == dict.fromkeys(good, "ready"), text
