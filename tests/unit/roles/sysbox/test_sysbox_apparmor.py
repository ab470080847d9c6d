"""The AppArmor rule for fusermount3: only where its profile is loaded, beside others' rules, and taken back alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_apparmor as profile
from ansible.module_utils.containai_sysbox_health import of_apparmor

from tests.unit.roles.conftest import Commands, load_module, run_module

PROFILE = "@{fuse_types} = {fuse,fuse.*,fuseblk,fusectl}\nprofile fusermount3 /usr/bin/fusermount3 {\n  include if exists <local/fusermount3>\n}\n"
OTHERS = "umount /cvmfs/**/,"


class Host:
    """The files of AppArmor, and a parser that notes what it is given."""

    def __init__(self, folder: Path, module: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        self.profile, self.local = folder / "apparmor.d/fusermount3", folder / "apparmor.d/local/fusermount3"
        self.loaded, self.enabled = folder / "profiles", folder / "enabled"
        self.local.parent.mkdir(parents=True)
        self.profile.write_text(PROFILE)
        self.loaded.write_text("docker-default (enforce)\nfusermount3 (enforce)\n")
        self.enabled.write_text("Y\n")
        for name in ("PROFILE", "LOCAL", "LOADED", "ENABLED"):
            monkeypatch.setattr(profile, name, str(getattr(self, name.lower())))
        self.commands = commands
        commands.add("apparmor_parser")

    @property
    def reloads(self) -> int:
        return len(self.commands.of("apparmor_parser"))


@pytest.fixture
def module(commands: Commands) -> ModuleType:
    return load_module("sysbox_apparmor")


@pytest.fixture
def host(tmp_path: Path, module: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, module, commands, monkeypatch)


@pytest.mark.parametrize("before", [None, "", "# Site-specific additions\n", OTHERS], ids=repr)
def test_there_and_back(module: ModuleType, host: Host, recorded: Callable[[], Any], before: str | None) -> None:
    if before is not None:
        host.local.write_text(before)
    plan = run_module(module, check_mode=True)
    assert plan["changed"]
    assert recorded() == {}
    assert host.reloads == 0
    answer = run_module(module)
    assert answer.actions == plan.actions == [("create" if before is None else "change", str(host.local))]
    assert answer["diff"] == plan["diff"]
    assert host.local.read_bytes().endswith(profile.BLOCK)
    assert host.local.read_text().startswith(before or "")
    assert host.commands.of("apparmor_parser") == [["--replace", str(host.profile)]]
    assert str(host.local) in recorded()["files"]
    assert not run_module(module)["changed"]
    assert host.reloads == 1
    assert run_module(module, state="absent", check_mode=True)["changed"]
    assert run_module(module, state="absent")["changed"]
    assert (host.local.read_text().rstrip("\n") if host.local.exists() else None) == (before and before.rstrip("\n"))
    assert host.reloads == 2
    assert not run_module(module, state="absent")["changed"]


def test_what_others_added_since_stays(module: ModuleType, host: Host) -> None:
    run_module(module)
    with host.local.open("a") as file:
        file.write(f"{OTHERS}\n")
    assert run_module(module, state="absent")["changed"]
    assert host.local.read_text() == f"{OTHERS}\n"


def test_a_block_that_setup_did_not_write_stays(module: ModuleType, host: Host) -> None:
    host.local.write_bytes(profile.BLOCK)
    assert not run_module(module, state="absent")["changed"]
    assert host.local.read_bytes() == profile.BLOCK


# A host on which nothing is done.
def no_apparmor(host: Host) -> None:
    host.loaded.unlink()
    host.enabled.unlink()


FREE = {
    "no AppArmor": no_apparmor,
    "a kernel that has not loaded it": lambda host: host.loaded.write_text("docker-default (enforce)\n"),
    "no such profile": lambda host: host.profile.unlink(),
    "a profile that takes no local rules": lambda host: host.profile.write_text("profile fusermount3 {}\n"),
}


@pytest.mark.parametrize("free", FREE.values(), ids=FREE.keys())
def test_nothing_is_done_without_the_loaded_profile(
    module: ModuleType, host: Host, recorded: Callable[[], Any], free: Callable[[Host], None]
) -> None:
    free(host)
    for check in (True, False):
        assert not run_module(module, check_mode=check)["changed"]
    assert of_apparmor() == []
    assert not host.local.exists()
    assert recorded() == {}
    assert host.reloads == 0


def test_a_user_who_may_not_see_what_is_loaded_plans_by_what_everybody_sees(module: ModuleType, host: Host) -> None:
    host.loaded.unlink()
    host.loaded.mkdir()  # cannot be read, for root neither
    assert run_module(module, check_mode=True)["changed"]
    host.enabled.write_text("N\n")
    assert not run_module(module, check_mode=True)["changed"]


def test_a_rule_that_is_not_taken_is_taken_back(module: ModuleType, host: Host) -> None:
    host.local.write_text(OTHERS)
    host.commands.add("apparmor_parser", "echo 'syntax error, unexpected TOK_OPENPAREN' >&2; exit 1")
    answer = run_module(module)
    assert answer["failure"] == "failed"
    assert "syntax error" in answer["msg"]
    assert host.local.read_text() == OTHERS


def test_a_run_that_was_killed_before_the_profile_was_loaded_is_brought_to_its_end(
    module: ModuleType, host: Host, recorded: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "reload", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            module.present(False)
    assert profile.BLOCK in host.local.read_bytes()
    assert run_module(module).actions == [("reload", str(host.profile))]
    assert host.reloads == 1
    assert "apparmor_reload" not in recorded()
    assert not run_module(module)["changed"]


def test_the_health_report(module: ModuleType, host: Host) -> None:
    (finding,) = of_apparmor()
    assert (finding["status"], finding["hint"]) == ("fail", "run `cai setup`")
    run_module(module)
    (finding,) = of_apparmor()
    assert finding["status"] == "pass"
