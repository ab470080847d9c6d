"""What a setup that was cut off in the middle of apt brought goes as well, and apt plans with what is there now."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_service_masks
from ansible.module_utils.containai import apt
from ansible.module_utils.containai.record import Record

from tests.unit.roles.docker_engine.removal.host import Host, note, remove


@pytest.fixture
def cut_off(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A setup that had begun to install docker.io, and a container runtime that was there. Returns the folder of masks."""
    masks = tmp_path / "masks"
    masks.mkdir()
    monkeypatch.setattr(containai_service_masks, "MASKS", str(masks))
    host.packages.write_text("ii libc6\n")
    host.commands.link("ls")
    host.commands.add("dpkg", f'[ "$1" = --no-act ] || ls {masks} >>{tmp_path}/masked')
    query = 'case "$3" in *Abbrev*) cat {0};; *) while read -r state name; do echo "$name"; done <{0};; esac'
    host.commands.add("dpkg-query", query.format(host.packages))
    Record().begin_installation("docker", quiet=["docker.service"])
    host.packages.write_text("ii libc6\niU docker.io\niHR runc\n")
    return masks


def test_the_packages_of_a_setup_that_was_cut_off_go(
    module: ModuleType, host: Host, cut_off: Path, state: Path
) -> None:
    assert ("remove", "packages: docker.io runc") in remove(module, host).actions
    (call,) = [call for call in host.changes() if call[0] == "apt-get"]
    assert call[-2:] == ["docker.io", "runc"]
    assert not state.exists()


def test_a_plan_names_them_and_changes_nothing(module: ModuleType, host: Host, cut_off: Path, state: Path) -> None:
    before = (state / "record.json").read_bytes()
    plan = remove(module, host, check_mode=True)
    assert ("remove", "packages: docker.io runc") in plan.actions
    assert host.changes() == []
    assert (state / "record.json").read_bytes() == before


def test_their_services_stay_masked_until_they_are_gone(
    module: ModuleType, host: Host, cut_off: Path, tmp_path: Path
) -> None:
    (cut_off / "docker.service").symlink_to("/dev/null")  # the killed run's
    remove(module, host)
    assert (tmp_path / "masked").read_text().split() == ["docker.service"]
    assert list(cut_off.iterdir()) == []


def test_a_removal_that_fails_finds_them_again(module: ModuleType, host: Host, cut_off: Path) -> None:
    host.plan(code=100)
    assert "apt could not remove" in remove(module, host)["msg"]
    host.plan()
    assert ("remove", "packages: docker.io runc") in remove(module, host).actions


def test_dpkgs_journal_is_settled_before_apt_plans(module: ModuleType, host: Host) -> None:
    """apt reads the status file alone, which still has the package that a killed dpkg had just removed."""
    note(packages=["fuse3"])
    host.needs = {"fuse3": ["sysbox-ce"]}
    host.plan()
    settled = f"echo '{{}}' >{host.folder}/needs; : >{host.folder}/needed"
    host.commands.add("dpkg", f"case $1 in --configure) {settled};; --no-act) [ ! -s {host.folder}/needed ];; esac")
    assert ("remove", "packages: fuse3") in remove(module, host).actions


def test_the_apt_of_a_killed_run_is_waited_for(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    note(packages=["fuse3"])
    host.needs = {"fuse3": ["sysbox-ce"]}
    host.plan()
    waited = []

    def until_it_has_removed_sysbox(seconds: int) -> None:
        waited.append(seconds)
        host.needs = {}
        host.plan()

    monkeypatch.setattr(apt, "quiet", until_it_has_removed_sysbox)
    assert ("remove", "packages: fuse3") in remove(module, host, apt_wait=7).actions
    assert waited == [7]


def test_a_plan_waits_for_nobody(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    note(packages=["fuse3"])
    monkeypatch.setattr(apt, "quiet", lambda _seconds: pytest.fail("it waits"))
    assert ("remove", "packages: fuse3") in remove(module, host, check_mode=True).actions
