"""An upgrade is made when it is asked for, and is refused before anything changes where it would end something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_docker_upgrade, containai_engine_state
from ansible.module_utils.containai import running

from tests.unit.roles.conftest import Answer, Commands
from tests.unit.roles.docker_engine.packages.runs import distro

OLD, NEW = "28.2.2-0ubuntu1", "29.1.3-0ubuntu3"
DONE = [("change", f"docker.io {NEW} (upgrade of {OLD})"), ("change", "runc 1.3 (upgrade of 1.2)")]
PLAN = f"Inst runc [1.2] (1.3 Ubuntu:24.04 [amd64])\nInst docker.io [{OLD}] ({NEW} Ubuntu:24.04 [amd64])\nConf docker.io ({NEW})\n"
PLANNED = [DONE[1], DONE[0]]
# As apt-cache prints it. What is installed of no source has /var/lib/dpkg/status alone.
POLICY = """{name}:
  Installed: {old}
  Candidate: {new}
  Version table:
     {new} 500
        500 http://archive.example.org/ubuntu noble-updates/universe amd64 Packages
 *** {old} 100
        100 /var/lib/dpkg/status
"""
SOURCELESS = """docker.io:
  Installed: {old}
  Candidate: {old}
  Version table:
 *** {old} 100
        100 /var/lib/dpkg/status
"""
AGENT = [{"Id": "1", "Names": ["/agent"]}]


class Docker:
    """A host whose Docker came with apt, which has a newer one. Its packages are files, so that an upgrade is seen by the next look."""

    def __init__(self, folder: Path, commands: Commands, units: Path) -> None:
        self.folder, self.commands, self.units = folder, commands, units
        for name in ("dockerd", "containerd", "docker"):
            commands.add(name)
        self.installed(f"docker.io\tii \t{OLD}", "runc\tii \t1.2")
        self.policy(
            POLICY.format(name="docker.io", old=OLD, new=NEW) + POLICY.format(name="runc", old="1.2", new="1.3")
        )
        (folder / "simulated-docker.io").write_text(PLAN)
        (folder / "owned").touch()
        self.use()
        commands.add(
            "dpkg-query",
            f"""case "$*" in
--search*) [ -e {folder}/owned ]; exit;;
*Status-Abbrev*Version*) cat {folder}/carriers; exit;;
esac
while read -r name; do echo "ii $name"; done <{folder}/packages""",
        )
        commands.add("apt-cache", f"cat {folder}/policy")
        (commands.folder / "dpkg").unlink()
        commands.link("dpkg", "sed", "mv")
        commands.add(
            "apt-get",
            f"""case " $* " in
*" --simulate "*) cat {folder}/simulated-docker.io; exit;;
*" update "*) : >{folder}/updated; [ ! -e {folder}/newer ] || mv {folder}/newer {folder}/policy; [ ! -e {folder}/offline ] || {{ echo "W: Failed to fetch http://me:geheim@mirror/" >&2; exit 0; }}; exit;;
*" --only-upgrade "*) ls {folder}/masks >{folder}/masked; [ ! -e {folder}/broken ] || {{ echo "E: broken" >&2; exit 100; }}
  sed 's/{OLD}/{NEW}/; s/\\t1.2/\\t1.3/' {folder}/carriers >{folder}/now; mv {folder}/now {folder}/carriers;;
esac""",
        )

    def installed(self, *rows: str) -> None:
        (self.folder / "carriers").write_text("".join(f"{row}\n" for row in rows))

    def policy(self, text: str, later: bool = False) -> None:
        """What apt knows; `later`: after it has read new lists."""
        (self.folder / ("newer" if later else "policy")).write_text(text)

    def use(self, unit: str = "", state: str = "active") -> None:
        """Have somebody use one of the packages' services."""
        shown = f'case " $* " in *" {unit} "*) ' if unit else "case x in y) "
        self.commands.add(
            "systemctl",
            f"""[ "$1" = show ] || exit 0
{shown}echo LoadState=loaded; echo ActiveState={state}; echo UnitFileState=enabled;; *) echo LoadState=loaded; echo ActiveState=inactive; echo UnitFileState=disabled;; esac""",
        )

    @property
    def untouched(self) -> bool:
        """Whether apt was at most asked, and told to read its lists."""
        calls = [call for call in self.commands.of("apt-get") if "--simulate" not in call and "update" not in call]
        return not calls and OLD in (self.folder / "carriers").read_text()


@pytest.fixture
def docker(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Docker:
    monkeypatch.setattr(running, "shims", list)
    return Docker(tmp_path, commands, host)


@pytest.fixture
def upgrade(module: ModuleType, docker: Docker, sockets: Path) -> Callable[..., Answer]:
    """Run the module as the role does when an upgrade is asked for; nobody listens on the engine's socket."""

    def run(check: bool = False, **more: Any) -> Answer:
        answer: Answer = distro(module, check, **{"upgrade": True, "socket": str(sockets / "none"), **more})
        return answer

    return run


def test_nothing_is_upgraded_unasked(module: ModuleType, docker: Docker, commands: Commands) -> None:
    answer = distro(module)
    assert not answer["changed"]
    assert not answer["upgraded"]
    assert commands.of("apt-get") == commands.of("apt-cache") == []


def test_what_is_asked_for_is_upgraded_once(
    upgrade, docker: Docker, commands: Commands, recorded, tmp_path: Path
) -> None:
    plan = upgrade(check=True)
    assert docker.untouched
    assert not (tmp_path / "updated").exists(), "a plan needs no network"
    answer = upgrade(apt_wait=7)
    assert plan.actions == answer.actions == PLANNED
    assert plan["upgraded"]
    assert answer["upgraded"]
    call = next(call for call in commands.of("apt-get") if "--yes" in call)
    assert call[call.index("install") + 1 :][-2:] == ["docker.io", "runc"]
    assert {"--only-upgrade", "--no-remove", "DPkg::Lock::Timeout=7", "Dpkg::Options::=--force-confold"} <= set(call)
    assert recorded()["installing"] == {}

    docker.policy(POLICY.format(name="docker.io", old=NEW, new=NEW) + POLICY.format(name="runc", old="1.3", new="1.3"))
    again = upgrade()
    assert not again["changed"]
    assert not again["upgraded"]


@pytest.mark.parametrize("check", [True, False])
def test_a_preflight_says_whether_it_is_needed_and_changes_nothing(
    upgrade, docker: Docker, engine: Any, state: Path, tmp_path: Path, check: bool
) -> None:
    """It stands before the batches of a fleet, so it reads the lists; the run after it does not read them again."""
    answer = upgrade(check, preflight=True)
    assert answer["needed"]
    assert not answer["changed"]
    assert not answer["upgraded"]
    assert docker.untouched
    assert not state.exists()
    assert (tmp_path / "updated").exists() is not check
    busy = engine({"/containers/json": AGENT, "/info": {}}).path
    assert upgrade(check, preflight=True, socket=busy)["failure"] == "precondition"

    (tmp_path / "updated").unlink(missing_ok=True)
    assert upgrade(check, checked=True, socket=busy)["failure"] == "precondition", "started since the preflight"
    done = upgrade(check, checked=True)
    assert done.actions == PLANNED
    assert done.warned == ""
    assert not (tmp_path / "updated").exists()
    if not check:
        assert not upgrade(preflight=True)["needed"]


def test_no_service_of_the_packages_starts(
    upgrade, docker: Docker, host: Path, commands: Commands, tmp_path: Path
) -> None:
    """Ubuntu's docker.io starts and enables the docker.service that it upgrades, a disabled one too."""
    (host / "docker.service").touch()
    upgrade()
    assert ["disable", "--now", "docker.service"] in commands.of("systemctl")
    assert (tmp_path / "masked").read_text().split() == ["containerd.service", "docker.service", "docker.socket"]
    assert list((tmp_path / "masks").iterdir()) == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("unit", ["docker.service", "docker.socket", "containerd.service"])
@pytest.mark.parametrize("active", ["active", "inactive"])
def test_another_docker_of_these_packages_is_left_to_its_users(
    upgrade, docker: Docker, state: Path, unit: str, active: str, check: bool
) -> None:
    """One that is enabled and does not run counts: it is in use at the next boot."""
    docker.use(unit, active)
    answer = upgrade(check, restart_containers=True)
    assert answer["failure"] == "precondition"
    assert unit in answer["msg"]
    assert f"docker.io from {OLD} to {NEW}" in answer["msg"]
    assert "`sudo apt-get install --only-upgrade docker.io runc`" in answer["hint"]
    assert docker.untouched
    assert not state.exists()


def test_another_docker_is_no_reason_where_there_is_nothing_newer(upgrade, docker: Docker) -> None:
    docker.use("docker.service")
    docker.policy(POLICY.format(name="docker.io", old=OLD, new=OLD))
    assert not upgrade().get("failed")


def test_the_engine_of_a_vm_is_upgraded(upgrade, docker: Docker, commands: Commands, tmp_path: Path) -> None:
    commands.add("nft")
    docker.use("docker.service")
    assert upgrade(dedicated=False).actions == PLANNED
    assert (tmp_path / "masked").read_text() == ""


@pytest.mark.parametrize("check", [True, False])
def test_running_containers_are_named_and_not_ended(
    upgrade, docker: Docker, engine: Any, state: Path, check: bool
) -> None:
    path = engine({"/containers/json": AGENT, "/info": {"ServerVersion": "28.2.2"}}).path
    answer = upgrade(check, socket=path)
    assert answer["failure"] == "precondition"
    assert answer["containers"] == ["agent"]
    assert "The upgrade of docker.io from" in answer["msg"]
    assert "docker_engine_upgrade=true -e docker_engine_restart_containers=true" in answer["hint"]
    assert docker.untouched
    assert not state.exists()
    assert upgrade(socket=path, restart_containers=True).actions == PLANNED


def test_containers_are_no_reason_where_there_is_nothing_newer(upgrade, docker: Docker, engine: Any) -> None:
    docker.policy(POLICY.format(name="docker.io", old=OLD, new=OLD))
    path = engine({"/containers/json": AGENT, "/info": {"ServerVersion": "28.2.2"}}).path
    assert not upgrade(socket=path).get("failed")


def test_what_only_the_new_lists_tell_is_refused_too(upgrade, docker: Docker, engine: Any, tmp_path: Path) -> None:
    docker.policy((tmp_path / "policy").read_text(), later=True)
    docker.policy(POLICY.format(name="docker.io", old=OLD, new=OLD))
    answer = upgrade(socket=engine({"/containers/json": AGENT, "/info": {}}).path)
    assert answer["failure"] == "precondition"
    assert (tmp_path / "updated").exists()
    assert docker.untouched


def test_a_docker_that_a_killed_run_upgraded_takes_the_same_leave(
    upgrade, docker: Docker, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left for apt to do, and the engine runs the old program yet: the restart is asked for as the upgrade is."""
    docker.policy(POLICY.format(name="docker.io", old=OLD, new=OLD))
    docker.use("containai-docker.service")
    monkeypatch.setattr(containai_docker_upgrade, "replaced", lambda *_: True)
    answer = upgrade(socket=engine({"/containers/json": AGENT, "/info": {}}).path)
    assert answer["failure"] == "precondition"
    assert "agent" in answer["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_held_package_is_named(upgrade, docker: Docker, check: bool) -> None:
    docker.installed(f"docker.io\thi \t{OLD}", "runc\tii \t1.2")
    answer = upgrade(check)
    assert answer["failure"] == "precondition"
    assert "while docker.io is held" in answer["msg"]
    assert "`sudo apt-mark unhold docker.io`" in answer["hint"]
    assert docker.untouched


@pytest.mark.parametrize("check", [True, False])
def test_a_package_that_would_go_is_named(upgrade, docker: Docker, tmp_path: Path, recorded, check: bool) -> None:
    (tmp_path / "simulated-docker.io").write_text(f"Remv podman-docker [5]\n{PLAN}")
    answer = upgrade(check)
    assert answer["failure"] == "precondition"
    assert "apt would remove podman-docker 5 to upgrade docker.io" in answer["msg"]
    assert 'docker_engine_allow_removal=["podman-docker"]' in answer["hint"]
    assert docker.untouched
    assert ("remove", "podman-docker") in upgrade(allow_removal=["podman-docker"]).actions
    assert recorded()["removed"] == ["podman-docker"]


@pytest.mark.parametrize("owned", [True, False], ids=["another package", "no package"])
def test_a_docker_that_is_not_apts_is_refused(upgrade, docker: Docker, tmp_path: Path, owned: bool) -> None:
    docker.installed("runc\tii \t1.2")
    if not owned:
        (tmp_path / "owned").unlink()
    answer = upgrade()
    assert answer["failure"] == "precondition"
    assert "dockerd comes from neither" in answer["msg"]


def test_a_host_without_docker_gets_it_as_ever(upgrade, docker: Docker, commands: Commands) -> None:
    (commands.folder / "dockerd").unlink()
    answer = upgrade()
    assert not answer["upgraded"]
    assert ("install", "docker.io") in answer.actions


def test_a_package_without_a_source_and_lists_that_cannot_be_read_are_told(
    upgrade, docker: Docker, tmp_path: Path
) -> None:
    docker.installed(f"docker.io\tii \t{OLD}")
    docker.policy(SOURCELESS.format(old=OLD))
    (tmp_path / "offline").touch()
    answer = upgrade()
    assert not answer["changed"]
    assert "No apt source of this host has docker.io" in answer.warned
    assert "could not read all of its lists" in answer.warned
    assert "http://***@mirror/" in answer.warned, "a password is in a log"


def test_apts_word_is_passed_on_and_the_next_run_takes_it_up(upgrade, docker: Docker, tmp_path: Path, recorded) -> None:
    (tmp_path / "broken").touch()
    answer = upgrade()
    assert "E: broken" in answer["msg"]
    assert list((tmp_path / "masks").iterdir()) == []
    assert "docker" in recorded()["installing"]
    (tmp_path / "broken").unlink()
    assert set(DONE) <= set(upgrade().actions)
    assert recorded()["installing"] == {}


@pytest.mark.parametrize("unit", ["containai-docker.service", "docker.service"])
def test_a_program_that_was_replaced_is_seen(unit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the file that the process runs. A VM's own docker.service is its package's to restart."""
    import shutil
    import subprocess

    program = tmp_path / "sleep"
    shutil.copy(shutil.which("sleep") or "", program)
    monkeypatch.setattr(containai_engine_state, "unit_state", lambda _: {"MainPID": "0"})
    with subprocess.Popen([program, "100"]) as process:
        state = {"MainPID": str(process.pid)}
        assert not containai_engine_state.replaced(unit, state, {})
        shutil.copy(program, tmp_path / "new")
        (tmp_path / "new").rename(program)
        found = (
            containai_engine_state.replaced(unit, state, {}),
            containai_engine_state.replaced(unit, {"MainPID": "0"}, {}),
        )
        monkeypatch.setattr(containai_engine_state, "unit_state", lambda _: state)
        of_containerd = containai_engine_state.replaced(unit, {"MainPID": "0"}, {})
        process.kill()
    assert (*found, of_containerd) == ((True, False, True) if unit != "docker.service" else (False, False, False))


@pytest.mark.parametrize(("said", "expected"), [("28.2.2", True), ("29.1.3", False)])
def test_who_may_not_see_the_file_compares_versions(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, said: str, expected: bool
) -> None:
    def closed(_: str) -> str:
        raise PermissionError

    commands.add("dockerd", 'echo "Docker version 29.1.3, build f52814d"')
    monkeypatch.setattr(containai_engine_state.os, "readlink", closed)
    monkeypatch.setattr(containai_engine_state, "unit_state", lambda _: {"MainPID": "1"})
    state = {"MainPID": "1"}
    assert containai_engine_state.replaced("containai-docker.service", state, {"ServerVersion": said}) is expected
    assert not containai_engine_state.replaced("containai-docker.service", state, None)
