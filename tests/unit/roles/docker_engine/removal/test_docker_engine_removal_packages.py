"""Packages, groups and diversions that setup brought go; what is needed by now stays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_in_use, containai_installed_by_setup
from ansible.module_utils.containai import apt
from ansible.module_utils.containai_installed_by_setup import SHELTERED

from tests.unit.roles.docker_engine.removal.host import Host, made, note, remove


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


def test_a_folder_of_another_package_outlives_a_postrm_that_removes_it(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dh_apparmor has it in docker.io: `rmdir /etc/apparmor.d/disable`, which belongs to apparmor."""
    monkeypatch.setattr(containai_installed_by_setup, "ETC", str(tmp_path / "etc"))
    theirs, ours = tmp_path / "etc/apparmor.d/disable", tmp_path / "etc/docker.io"
    for folder in (theirs, ours):
        folder.mkdir(parents=True)
    theirs.chmod(0o710)
    host.commands.link("rmdir")
    host.commands.add("unshare", f'case "$*" in *" purge "*) rmdir {theirs} {ours} {theirs.parent};; esac')
    host.commands.add("dpkg-query", f'case "$2" in */docker.io) exit 1;; esac; cat {host.packages}')
    note(packages=["docker.io"])
    remove(module, host)
    assert theirs.stat().st_mode & 0o777 == 0o710
    assert not ours.exists()


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


@pytest.mark.parametrize(
    ("unit", "enabled", "active", "stays"),
    [
        ("docker.service", "enabled", "inactive", {"docker.io", "containerd"}),
        ("docker.service", "disabled", "active", {"docker.io", "containerd"}),
        ("docker.socket", "enabled", "active", {"docker.io", "containerd"}),
        ("containerd.service", "enabled", "active", {"containerd"}),
        ("docker.service", "disabled", "inactive", set()),
        ("docker.service", "disabled", "failed", set()),
    ],
)
def test_a_docker_that_is_in_use_stays_whole(
    module: ModuleType, host: Host, unit: str, enabled: str, active: str, stays: set[str], tmp_path: Path
) -> None:
    """Its packages, its group, its diversion, its folders."""
    host.packages.write_text("libc6\ndocker.io\ncontainerd\nfuse3\n")
    note(packages=["docker.io", "containerd", "fuse3"], groups=["docker", "containai"])
    host.unit(unit, enabled, active)
    answer = remove(module, host)
    (line,) = (what for verb, what in answer.actions if what.startswith("packages: "))
    assert set(line.split()[1:]) == {"docker.io", "containerd", "fuse3"} - stays
    removed = {call[-1] for call in host.changes() if call[0] == "groupdel"}
    assert removed == {"containai"} | ({"docker"} if "docker.io" not in stays else set())
    assert any(f"{unit} is in use by now" in text for text in answer["notes"]) is bool(stays)


def test_a_diversion_stays_while_its_package_does(module: ModuleType, host: Host, tmp_path: Path) -> None:
    diverted = tmp_path / "docker.containai"
    diverted.touch()
    note(packages=["docker.io"], diversions=[str(diverted)])
    host.unit("docker.service", "enabled", "active")
    remove(module, host)
    assert [call for call in host.changes() if call[0] == "dpkg-divert"] == []
    diverted.unlink()
    note(packages=["docker.io"], diversions=[str(diverted)])
    remove(module, host)
    assert [call for call in host.changes() if call[0] == "dpkg-divert"] != []


@pytest.mark.parametrize("stays", [True, False])
def test_dockers_repository_stays_with_its_packages(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    files = [tmp_path / "apt" / name for name in ("docker.sources", "docker.gpg")]
    for name, path in zip(("SOURCES", "KEYRING"), files, strict=True):
        monkeypatch.setattr(module, name, str(path))
        made(path, None, b"ours")
    host.packages.write_text("docker-ce\n")
    note(packages=["docker-ce"])
    host.unit("docker.service", "enabled" if stays else "disabled", "inactive")
    remove(module, host)
    assert [path.exists() for path in files] == [stays, stays]


def test_what_lies_in_opt_containerd_stays(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """containerd makes empty folders there; a program in one of them is somebody's."""
    used = tmp_path / "opt" / "containerd"
    for name in ("bin", "lib"):
        (used / name).mkdir(parents=True)
    (used / "bin" / "shim").touch()
    monkeypatch.setattr(module, "OPT", str(used))
    module.Removal.remove_folder(str(used))
    assert sorted(path.name for path in used.rglob("*")) == ["bin", "shim"]
    (used / "bin" / "shim").unlink()
    module.Removal.remove_folder(str(used))
    assert not used.exists()


@pytest.mark.parametrize("brought", [True, False])
def test_folders_stay_with_a_docker_that_setup_brought(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: bool
) -> None:
    """A Docker that was there before setup lived without them: they are our containerd's."""
    folder = tmp_path / "opt" / "containerd"
    folder.mkdir(parents=True)
    monkeypatch.setattr(containai_in_use, "DOCKER_FOLDERS", (str(folder),))
    host.packages.write_text("libc6\ndocker.io\ncontainerd\n")
    note(packages=["docker.io", "containerd"] if brought else ["libc6"], folders=[str(folder)])
    host.unit("docker.service", "enabled", "active")
    remove(module, host)
    assert folder.exists() is brought


def test_what_was_allowed_to_go_is_named(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io"], removed=["podman-docker", "tini", "libc6"])  # of tini the settings are there
    (text,) = (text for text in remove(module, host)["notes"] if "podman-docker" in text)
    assert "`sudo apt-get install podman-docker tini`" in text


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
    monkeypatch.setattr(apt, "holder", lambda: ", process 4711 (unattended-upgr) holds its lock")
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
