"""The inventories of the repository as they stand, run from a controller: WSL by ssh, and through a Windows host (a double of one)."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import engine, galaxy, host, paths
from tests.hosts.doubles import windows
from tests.system import snapshot, stage
from tests.system.box import Box

SSH_ARGS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]


class Controller:
    """A machine of an ops team: this one, with a key that opens the host. The hosts have no address here, so ssh reaches them through a proxy command."""

    def __init__(self, folder: Path, box: Box) -> None:
        self.folder, self.box = folder, box
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        windows.install(box.name, self.key.with_suffix(".pub").read_text())
        self.control = tempfile.TemporaryDirectory(prefix="cai-ssh-")  # a socket's path has to be short
        path, sha256 = stage.packages()["0.7.1"]
        self.settings = folder / "settings.yml"
        chosen = {"docker_engine_source": "distro", "sysbox_deb": path, "sysbox_sha256": {"amd64": sha256}}
        self.settings.write_text(yaml.safe_dump(chosen))

    def proxy(self, port: int) -> str:
        """What carries ssh to a port of the host."""
        address = engine.docker_host()
        docker = ["docker", *(["-H", address] if address else []), "exec", "-i", host.container(self.box.name)]
        return shlex.join([*docker, "socat", "-", f"TCP:127.0.0.1:{port}"])

    def run(self, *words: str, port: int) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's programs; the examples' addresses all lead to the host."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(galaxy.ensure()),
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.key),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self.control.name,
            "ANSIBLE_SSH_COMMON_ARGS": shlex.join([*SSH_ARGS, "-o", f"ProxyCommand={self.proxy(port)}"]),
            "ANSIBLE_PARAMIKO_PROXY_COMMAND": self.proxy(port),
        }
        return subprocess.run(
            words, cwd=paths.ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=1500,
        )  # fmt: skip

    def play(self, inventory: Path | str, limit: str, *words: str, port: int) -> tuple[str, dict[str, dict[str, Any]]]:
        """Run site.yml on some hosts; returns the output and the report's hosts by name."""
        made = self.folder / "report"
        chosen = ["-e", f"@{self.settings}", "-e", f"cai_report_dir={made}", "--limit", limit, *words]
        done = self.run("ansible-playbook", "-i", str(inventory), "playbooks/site.yml", *chosen, port=port)
        document = json.loads((made / "report.json").read_text())
        (made / "report.json").unlink()
        return done.stdout + done.stderr, {one["host"]: one for one in document["hosts"]}

    def discovered(self) -> Path:
        """The example for the inventory plugin, with what this controller needs to reach the host."""
        example = yaml.safe_load((paths.ROOT / "inventory/wsl-discovered.example.yml").read_text())
        example["ssh_args"] = [*SSH_ARGS, "-i", str(self.key), "-o", f"ProxyCommand={self.proxy(windows.PORT)}"]
        path = self.folder / "discovered.yml"
        path.write_text(yaml.safe_dump(example))
        return path


@pytest.fixture
def controller(tmp_path: Path, hosts: Any) -> Iterator[Controller]:
    made = Controller(tmp_path, hosts("inventories", setup="sshd"))
    yield made
    made.control.cleanup()


def outcomes(report: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["outcome"] for name, one in report.items()}


@pytest.mark.slow
def test_the_distros_of_windows_hosts_are_found_and_reached_through_wsl_exe(controller: Controller) -> None:
    inventory = controller.discovered()
    command = ["ansible-inventory", "-i", str(inventory), "--playbook-dir", "playbooks", "--list"]
    done = controller.run(*command, port=windows.PORT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Both addresses of the example lead to the one host.
    assert found["wsl_running"]["hosts"] == ["dev-pc-01-Ubuntu_24.04", "dev-pc-02-Ubuntu_24.04"]
    assert found["wsl_stopped"]["hosts"] == ["dev-pc-01-Old-One", "dev-pc-02-Old-One"]
    ignore = (*snapshot.LOGS, "/var/log/wsl-double", "/root/.ansible")
    before = controller.box.snapshot(ignore=ignore)
    text, report = controller.play(inventory, "dev-pc-01-Ubuntu*", "--check", port=windows.PORT)
    assert outcomes(report) == {"dev-pc-01-Ubuntu_24.04": "would_change"}, text
    assert 'wsl.exe --distribution "Ubuntu 24.04" --user root -- /bin/sh -c' in controller.box.sh(
        "cat /var/log/wsl-double"
    )
    assert snapshot.difference(before, controller.box.snapshot(ignore=ignore)) == [], "check mode changed the host"


@pytest.mark.slow
def test_a_distro_is_set_up_through_its_windows_host(controller: Controller) -> None:
    inventory = controller.discovered()
    text, report = controller.play(inventory, "dev-pc-01-Ubuntu*", port=windows.PORT)
    assert outcomes(report) == {"dev-pc-01-Ubuntu_24.04": "changed"}, text
    text, report = controller.play(inventory, "dev-pc-01-Ubuntu*", port=windows.PORT)
    assert outcomes(report) == {"dev-pc-01-Ubuntu_24.04": "ready"}, text
    text, report = controller.play("inventory/wsl-windows.example.yml", "dev-pc-01-ubuntu", port=windows.PORT)
    assert outcomes(report) == {"dev-pc-01-ubuntu": "ready"}, text
    assert controller.box.shell("docker --context containai-secure version", user="developer").code == 0


@pytest.mark.slow
def test_a_distro_is_set_up_by_its_own_ssh_server(controller: Controller) -> None:
    for outcome in ("changed", "ready"):
        text, report = controller.play("inventory/wsl-ssh.example.yml", "dev-laptop-01", port=22)
        assert outcomes(report) == {"dev-laptop-01": outcome}, text
    assert controller.box.shell("docker --context containai-secure version", user="developer").code == 0
