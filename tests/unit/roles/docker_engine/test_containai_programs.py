"""Whether the programs of the engine are all there, so that nothing is to be installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils import containai_programs as programs
from ansible.module_utils.containai.record import Record

from tests.unit.roles.conftest import Commands

NEEDED = ("ip", "iptables", "nsenter", "dockerd", "containerd", "docker")


@pytest.fixture(autouse=True)
def host(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    for name in NEEDED:
        commands.add(name)
    monkeypatch.setattr(programs, "DOCKER", str(tmp_path / "docker"))
    return commands


def test_nothing_is_to_be_installed_where_all_are_there() -> None:
    assert programs.complete(dedicated=True)


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_program_is_seen(host: Commands, missing: str) -> None:
    (host.folder / missing).unlink()
    assert not programs.complete(dedicated=True)


def test_a_vm_needs_another_program(host: Commands) -> None:
    assert not programs.complete(dedicated=False)
    host.add("nft")
    (host.folder / "nsenter").unlink()
    assert programs.complete(dedicated=False)


def test_docker_desktops_link_counts_while_its_program_is_gone(host: Commands, tmp_path: Path) -> None:
    (host.folder / "docker").unlink()
    (tmp_path / "docker").symlink_to("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    assert programs.complete(dedicated=True)


def test_an_installation_that_was_cut_off_is_taken_up_again(host: Commands) -> None:
    host.add("dpkg-query")
    Record().begin_installation("docker")
    assert not programs.complete(dedicated=True)


def test_a_damaged_record_is_left_to_the_module_that_refuses_it(state: Path) -> None:
    state.mkdir()
    (state / "record.json").write_text("[")
    assert not programs.complete(dedicated=True)
