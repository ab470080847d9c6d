"""Packages, groups and diversions that setup brought go; what is needed by now stays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_apt
from ansible.module_utils.containai_brought import SHELTERED

from tests.unit.roles.docker_engine.removal.host import Host, note, remove


def test_our_packages_go(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3", "not-there-any-more"])
    assert ("remove", "packages: docker.io fuse3") in remove(module, host).actions
    (call,) = [call for call in host.changes() if call[0] == "apt-get"]
    assert call[-4:] == ["purge", "--yes", "docker.io", "fuse3"]


def test_a_package_that_is_needed_by_now_stays(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3"])
    host.needs = {"fuse3": ["sshfs"]}
    host.plan()
    answer = remove(module, host)
    assert ("remove", "packages: docker.io") in answer.actions
    assert "fuse3 stays: sshfs needs it by now." in answer["notes"]


def test_the_purge_runs_in_its_shelter(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io"])
    remove(module, host)
    (call,) = [call for call in host.commands.of("unshare") if "apt-get" in call]
    assert call[: len(SHELTERED) - 1] == list(SHELTERED[1:])
    assert "purge" in call


def test_the_shelter_is_real(module: ModuleType, tmp_path: Path, needs_root: None) -> None:
    """What a rude postrm does to Docker's folder reaches only an empty one, and unmounts nothing."""
    docker, beside = tmp_path / "docker", tmp_path / "docker-containai"
    for folder in (docker, beside):
        folder.mkdir()
        (folder / "precious").touch()
    rude = f"rm -rf {docker}/*; umount -f {beside} 2>/dev/null; ls {docker}"
    done = subprocess.run(
        [*SHELTERED[:-1], str(docker), "sh", "-c", rude],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.stdout == ""
    assert (docker / "precious").exists()
    assert (beside / "precious").exists()


def test_docker_stays_where_it_is_in_use_by_now(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3"])
    host.commands.add("systemctl", "case $1 in is-enabled) echo enabled;; esac")
    answer = remove(module, host)
    assert ("remove", "packages: fuse3") in answer.actions
    assert any("docker.service is in use" in line for line in answer["notes"])


def test_apts_refusal_keeps_the_record(module: ModuleType, host: Host, state: Path) -> None:
    note(packages=["docker.io"])
    host.plan(code=100)
    answer = remove(module, host)
    assert "apt could not remove docker.io:\ndpkg: error\nvia http://***@proxy:3128" in answer["msg"]
    assert "`sudo dpkg --configure -a`" in answer["hint"]
    assert json.loads((state / "record.json").read_text())["packages"] == ["docker.io"]
    host.plan()
    assert remove(module, host)["changed"]
    assert not state.exists()


def test_whoever_holds_apts_lock_is_named(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    note(packages=["docker.io"])
    host.plan(code=100)
    monkeypatch.setattr(containai_apt, "holder", lambda: ", process 4711 (unattended-upgr) holds its lock")
    answer = remove(module, host, apt_wait=0)
    assert "apt could not remove docker.io, process 4711 (unattended-upgr) holds its lock:" in answer["msg"]
    assert "`ps -fp 4711`" in answer["hint"]


def test_groups_members_and_diversions_go(module: ModuleType, host: Host) -> None:
    note(
        groups=["containai"], users=["sysbox"], members=[["containai", "dev"]], diversions=["/usr/bin/docker.containai"]
    )
    answer = remove(module, host)
    assert ("change", "group containai: take out dev") in answer.actions
    assert ("remove", "group containai") in answer.actions
    changes = host.changes()
    assert ["gpasswd", "--delete", "dev", "containai"] in changes
    assert ["groupdel", "containai"] in changes
    assert ["userdel", "sysbox"] in changes
    (divert,) = [call for call in changes if call[0] == "dpkg-divert"]
    assert divert[-2:] == ["--remove", "/usr/bin/docker"]
