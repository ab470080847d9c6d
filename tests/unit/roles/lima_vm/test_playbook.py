"""`cai` on a Mac made of stand-ins with nothing installed: the whole plan, a health report, and a removal of nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.unit.roles.conftest import REPOSITORY

from .mac import Mac

pytestmark = pytest.mark.ansible


def test_the_dry_run_with_nothing_installed_tells_the_whole_plan_and_makes_nothing(mac: Mac) -> None:
    before = mac.everything()
    done = mac.cai("setup", "--dry-run", network=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "install  lima (Homebrew)",
        "install  docker (Homebrew)",
        "create   Lima VM containai-secure",
        "start    Lima VM containai-secure",
        "install  Docker in the VM",
        "install  Sysbox 0.7.1 in the VM",
        "runtimes.sysbox-runc",
        "create   rules in the VM for where containers may connect to (open)",
        "start    docker.service in the VM",
        "create   docker context containai-secure",
        f"unix://{mac.home}/.lima/containai-secure/sock/docker.sock",
        '+minimumLimaVersion: "2.0.0"',
    ):
        assert line in done.stdout
    assert "brew.sh" in done.stdout + done.stderr
    assert "/opt/homebrew/bin/brew" in done.stdout + done.stderr
    assert mac.everything() == before


@pytest.mark.slow
def test_the_health_report_and_the_removal_of_nothing(mac: Mac) -> None:
    before = mac.everything()
    done = mac.cai("doctor")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    for line in (
        "missing: lima, docker",
        "Homebrew is missing",
        "there is no Lima VM containai-secure",
        "docker context",
    ):
        assert line in said
    assert "undefined" not in said
    assert mac.everything() == before
    done = mac.cai("uninstall", "--dry-run", "--purge")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to remove" in done.stdout
    assert "rew" not in done.stdout + done.stderr


def test_a_part_of_what_is_in_the_vm_brings_the_vm_by_its_tag_alone() -> None:
    command = [sys.executable, "-m", "ansible", "playbook", "playbooks/macos.yml", "--list-tasks"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    _, machine, vm, _ = listed.split("  play #")

    def tasks(play: str, tag: str) -> list[str]:
        found = re.findall(r"^ +(?:\w+ : )?(.*)\tTAGS: \[(.*)\]$", play, re.MULTILINE)
        return [name for name, tags in found if {tag, "always"} & {*tags.split(", ")}]

    for tag in (
        "docker_engine_install",
        "docker_engine_configure",
        "sysbox_install",
        "sysbox_configure",
        "sysbox_verify",
    ):
        brought = tasks(machine, tag)
        assert {"Create and start the VM", "Make the VM a host of this run"} <= {*brought}, tag
        assert not [name for name in brought if "Install Lima" in name], tag
        assert f"[{tag}]" in vm or f"{tag}," in vm, tag
