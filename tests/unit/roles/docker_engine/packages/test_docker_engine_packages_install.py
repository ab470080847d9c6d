"""What is missing is installed, and wakes nothing; a killed run is taken up again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, run_module
from tests.unit.roles.docker_engine.packages.runs import HOST, distro, installs


def test_a_bare_host_gets_the_packages(module: ModuleType, host: Path, commands: Commands, recorded) -> None:
    answer = distro(module)
    assert answer["changed"]
    assert answer.actions == [("install", "docker.io"), ("install", "docker-cli")]
    assert installs(commands) == [["docker.io", "docker-cli"]]
    assert answer["dockerd_path"] == f"{commands.path}/dockerd"
    assert answer["containerd_path"] == f"{commands.path}/containerd"
    assert recorded()["packages"] == ["docker-cli", "docker.io"]
    assert recorded()["installing"] == {}


def test_apt_waits_for_another_process(module: ModuleType, host: Path, commands: Commands) -> None:
    distro(module, apt_wait=7)
    calls = [call for call in commands.of("apt-get") if "install" in call and "--simulate" not in call]
    waits = ["DPkg::Lock::Timeout=7" in call for call in calls]
    assert waits == [True]


def test_the_lock_of_the_lists_is_waited_for(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "locked").touch()
    assert not distro(module, apt_wait=30).get("failed")
    assert len([call for call in commands.of("apt-get") if "update" in call]) == 2


def test_the_wait_for_the_lists_has_an_end(module: ModuleType, host: Path, commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "locked").touch()
    distro(module, apt_wait=0)
    assert len([call for call in commands.of("apt-get") if "update" in call]) == 1


def test_a_package_that_only_new_lists_know_comes_too(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    commands.add("apt-cache", f'[ -e {tmp_path}/updated ] && echo "Package: docker-cli" && echo')
    assert distro(module).actions == [("install", "docker.io"), ("install", "docker-cli")]
    assert installs(commands) == [["docker.io", "docker-cli"]]
    assert not distro(module)["changed"]


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ({"version": "13"}, ["docker.io", "docker-cli"]),
        ({"version": ""}, ["docker.io", "docker-cli"]),
        ({"version": "12"}, ["docker.io"]),
        ({"version": "24.04", "distribution": "ubuntu"}, ["docker.io"]),
    ],
    ids=str,
)
def test_the_plan_without_any_lists_is_that_of_the_release(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, release: dict[str, str], wanted: list[str]
) -> None:
    split = "docker-cli" in wanted
    known = 'echo "Package: $3"; echo' if split else '[ "$3" = docker.io ] && echo "Package: $3" && echo'
    commands.add("apt-cache", f"[ -e {tmp_path}/updated ] && {{ {known}; }}")
    plan = run_module(module, check_mode=True, source="distro", host={**HOST, **release})
    real = run_module(module, source="distro", host={**HOST, **release})
    assert plan.actions == real.actions == [("install", name) for name in wanted]


def test_a_second_time_asks_apt_nothing(module: ModuleType, host: Path, commands: Commands, recorded) -> None:
    distro(module)
    before, calls = recorded(), len(commands.calls)
    answer = distro(module)
    assert not answer["changed"]
    assert answer["actions"] == []
    assert recorded() == before
    assert not [call for call in commands.calls[calls:] if call[0] in ("apt-get", "systemctl", "dpkg")]


def test_only_what_is_missing_is_installed(module: ModuleType, host: Path, commands: Commands) -> None:
    for name in ("dockerd", "docker"):
        commands.add(name)
    (commands.folder / "ip").unlink()
    assert distro(module).actions == [("install", "iproute2")]
    assert installs(commands) == [["iproute2"]]
    assert "--no-upgrade" in next(call for call in commands.of("apt-get") if "install" in call)


def test_check_mode_changes_nothing_and_says_the_same(
    module: ModuleType, host: Path, commands: Commands, state: Path, tmp_path: Path
) -> None:
    plan = distro(module, check=True)
    asked = [call for call in commands.calls if call[0] in ("apt-get", "systemctl", "dpkg", "dpkg-divert")]
    assert [call for call in asked if "--simulate" not in call] == []
    assert not state.exists()
    assert not (commands.folder / "dockerd").exists()
    assert plan["dockerd_path"] == "/usr/sbin/dockerd"  # where it will be
    assert plan["actions"] == distro(module)["actions"]


def test_new_services_are_masked_meanwhile_and_put_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    distro(module)
    assert (tmp_path / "masked").read_text().split() == ["containerd.service", "docker.service", "docker.socket"]
    assert list((tmp_path / "masks").iterdir()) == []
    assert ["disable", "--now", "docker.service", "docker.socket", "containerd.service"] in commands.of("systemctl")


def test_services_that_were_there_are_left(module: ModuleType, host: Path, commands: Commands, tmp_path: Path) -> None:
    for name in ("docker.service", "docker.socket", "containerd.service"):
        (host / name).touch()
    distro(module)
    assert (tmp_path / "masked").read_text() == ""
    assert [call for call in commands.of("systemctl") if call != ["daemon-reload"]] == []


def test_the_engine_of_a_vm_of_ours_is_not_put_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    distro(module, dedicated=False)
    assert (tmp_path / "masked").read_text() == ""
    assert [call for call in commands.of("systemctl") if call != ["daemon-reload"]] == []


def test_apts_word_is_passed_on_and_no_mask_stays(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    (tmp_path / "broken").touch()
    answer = distro(module)
    assert answer["failure"] == "failed"
    assert "E: Unable to locate package docker.io" in answer["msg"]
    assert "Could not connect to http://***@proxy:3128" in answer["msg"]  # what a log or a bug report would hand on
    assert "`sudo apt-get" in answer["hint"]
    assert list((tmp_path / "masks").iterdir()) == []
    assert "docker" in recorded()["installing"]


def test_the_run_after_a_killed_one_puts_its_services_to_rest(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    """Killed inside apt: the packages are there, and their units, of which nobody knows any more that they are new."""
    (tmp_path / "broken").touch()
    distro(module)
    (tmp_path / "broken").unlink()
    subprocess.run(
        [f"{commands.path}/apt-get", "install", "docker.io", "docker-cli"], check=True, env={"PATH": commands.path}
    )
    calls = len(commands.calls)
    answer = distro(module)
    assert answer["changed"]
    new = commands.calls[calls:]
    assert ["systemctl", "disable", "--now", "docker.service", "docker.socket", "containerd.service"] in new
    assert ["dpkg", "--configure", "-a"] in new
    assert recorded()["packages"] == ["docker-cli", "docker.io"]
    assert recorded()["installing"] == {}
    assert not distro(module)["changed"]


def test_docker_desktops_link_is_left_and_the_package_diverted(
    module: ModuleType, host: Path, commands: Commands, recorded
) -> None:
    (commands.folder / "docker").symlink_to("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    distro(module)
    assert (commands.folder / "docker").readlink() == Path("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
    assert installs(commands) == [["docker.io"]]
    diverts = commands.of("dpkg-divert")
    assert [(call[-1], call[call.index("--divert") + 1], "--no-rename" in call) for call in diverts] == [
        (module.containai_programs.DOCKER, module.DIVERTED, True)
    ]
    assert recorded()["diversions"] == [module.DIVERTED]


def test_a_packaged_cli_is_not_diverted(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    commands.add("docker")
    (tmp_path / "owned").touch()
    distro(module)
    assert commands.of("dpkg-divert") == []
    assert "diversions" not in recorded()


def test_a_distro_without_a_cli_package_is_not_asked_for_it(module: ModuleType, host: Path, commands: Commands) -> None:
    commands.add("apt-cache", "exit 100")
    assert distro(module).actions == [("install", "docker.io")]


def test_no_apt_is_said(module: ModuleType, host: Path, commands: Commands) -> None:
    (commands.folder / "apt-get").unlink()
    answer = distro(module)
    assert "apt-get" in answer["msg"]
