"""Each role runs from a playbook of three lines, by itself, and a second run changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import paths
from tests.system.fleet import Fleet

SOCKET = "/var/run/docker.sock"
PLAY = """- hosts: all
  become: true
  roles: [{%s}]
"""
ROLES = {
    "sysbox": f"role: sysbox, sysbox_socket: {SOCKET}, sysbox_engine_unit: docker.service, sysbox_data_root: /var/lib/docker",
    "docker_context": f"role: docker_context, docker_context_name: work, docker_context_endpoint: 'unix://{SOCKET}'",
    "docker_engine": "role: docker_engine",
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.down()


def test_each_role_works_without_the_others(fleet: Fleet) -> None:
    box = fleet.add("roles", "noble", dress="linux", setup="other-docker")
    del fleet.inventory["gone"]
    running = "docker ps --quiet --no-trunc --filter name=web | xargs docker inspect --format '{{.State.Pid}}'"
    before = box.sh(running)
    for name, line in ROLES.items():
        playbook = fleet.folder / f"{name}.yml"
        playbook.write_text(PLAY % line)
        for changed in (True, False):
            done = fleet.run(
                "ansible-playbook", "-i", fleet.listed(), playbook, ANSIBLE_ROLES_PATH=str(paths.ROOT / "roles")
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert (re.search(r"changed=(\d+)", done.stdout)[1] != "0") is changed, (name, done.stdout)
    # The role's last task has shown that a container under it is isolated.
    assert "sysbox-runc" in box.sh("docker info --format '{{json .Runtimes}}'")
    assert (
        box.sh("sudo -u dev docker context inspect work --format '{{.Endpoints.docker.Host}}'").strip()
        == f"unix://{SOCKET}"
    )
    assert box.sh("docker --host unix:///var/run/docker-containai.sock info --format '{{.ServerVersion}}'").strip()
    assert box.sh(running) == before, "a reload ended the containers of the host's own Docker"
