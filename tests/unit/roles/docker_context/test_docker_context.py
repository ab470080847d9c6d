"""One docker context of a user: made, corrected, and no other touched."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.docker_context.contexts import (
    NAME,
    STAND_IN,
    WANTED,
    activate,
    meta_file,
    picture,
    stored,
    write_context,
)


def test_it_is_created(either: ModuleType, home: Path) -> None:
    answer = run_module(either, **WANTED)
    assert answer["changed"]
    assert answer.actions == [("create", f"docker context {NAME}")]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_a_second_time_changes_nothing(module: ModuleType, home: Path, commands: Commands) -> None:
    run_module(module, **WANTED)
    before, calls = picture(home), len(commands.calls)
    answer = run_module(module, **WANTED)
    assert not answer["changed"]
    assert answer["actions"] == answer["diff"] == []
    assert picture(home) == before
    assert len(commands.calls) == calls


def test_a_drifted_one_is_corrected(either: ModuleType, home: Path) -> None:
    run_module(either, **{**WANTED, "endpoint": "unix:///var/run/docker.sock", "description": "edited"})
    answer = run_module(either, **WANTED)
    assert answer.actions == [("change", f"docker context {NAME}")]
    assert "endpoint: unix:///var/run/docker.sock" in answer["diff"][0]["before"]
    assert f"endpoint: {WANTED['endpoint']}" in answer["diff"][0]["after"]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_only_the_description_drifted(module: ModuleType, home: Path) -> None:
    run_module(module, **{**WANTED, "description": ""})
    assert run_module(module, **WANTED)["changed"]
    assert stored(home)[1] == WANTED["description"]


DAMAGED = ("", "{", "[]", "null", "nonsense", '{"Name": "x"}', '{"Endpoints": {}}', '{"Endpoints": {"docker": null}}')


def test_a_damaged_one_is_made_anew(either: ModuleType, home: Path) -> None:
    for damage in DAMAGED:
        run_module(either, **WANTED)
        meta_file(home).write_text(damage)
        answer = run_module(either, **WANTED)
        assert answer["changed"], damage
        assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_a_damaged_one_is_taken_away(either: ModuleType, home: Path) -> None:
    run_module(either, **WANTED)
    meta_file(home).write_text("nonsense")
    assert run_module(either, state="absent")["changed"]
    assert not meta_file(home).parent.exists()


def test_check_mode_says_it_and_does_nothing(module: ModuleType, home: Path, commands: Commands) -> None:
    answer = run_module(module, check_mode=True, **WANTED)
    assert answer["changed"]
    assert answer["diff"][0]["before"] == ""
    assert picture(home) == {}
    assert list(home.iterdir()) == []
    assert commands.calls == []


def test_absent_takes_it_away(either: ModuleType, home: Path) -> None:
    write_context(home, "mine", "tcp://192.0.2.1:2376")
    others = picture(home)
    run_module(either, **WANTED)
    assert run_module(either, check_mode=True, state="absent")["changed"]
    answer = run_module(either, state="absent")
    assert answer.actions == [("remove", f"docker context {NAME}")]
    assert {path: data for path, data in picture(home).items() if "contexts" in path} == others
    assert not run_module(either, state="absent")["changed"]


def test_absent_leaves_no_folder_that_was_not_there(module: ModuleType, home: Path) -> None:
    run_module(module, **WANTED)
    run_module(module, state="absent")
    assert list(home.iterdir()) == []


def test_no_other_context_and_no_setting_is_touched(either: ModuleType, home: Path) -> None:
    for name, endpoint in (("desktop-linux", "unix:///x/docker.sock"), ("mine", "ssh://user@192.0.2.1")):
        write_context(home, name, endpoint)
    activate(home, "desktop-linux")
    before = picture(home)
    for step in (WANTED, {**WANTED, "description": "new"}):
        run_module(either, **step)
        after = picture(home)
        after.pop(str(meta_file(home).relative_to(home)))
        assert after == before


def test_the_environment_does_not_say_where_to_go(
    either: ModuleType, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:1")
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    run_module(either, **WANTED)
    assert stored(home)[0] == WANTED["endpoint"]
    assert not (tmp_path / "elsewhere").exists()


def test_another_folder_of_settings(module: ModuleType, home: Path, tmp_path: Path) -> None:
    run_module(module, config_dir=str(tmp_path / "set" / "docker"), **WANTED)
    assert picture(home) == {}
    assert list((tmp_path / "set" / "docker" / "contexts" / "meta").iterdir())


@pytest.mark.parametrize(
    ("damaged", "how"),
    [
        (False, {"state": "absent"}),
        (False, {"state": "absent", "check_mode": True}),
        (True, WANTED),
        (True, {**WANTED, "check_mode": True}),
    ],
    ids=str,
)
def test_the_active_one_is_not_removed(module: ModuleType, home: Path, damaged: bool, how: dict[str, Any]) -> None:
    run_module(module, **WANTED)
    activate(home, NAME)
    if damaged:
        meta_file(home).write_text("{")
    before = picture(home)
    answers = [run_module(module, **how)]
    if damaged:
        answers.append(run_module(load_module("docker_context_info"), **WANTED))
    for answer in answers:
        assert answer["failure"] == "precondition"
        assert "`docker context use default`" in answer["hint"]
    assert picture(home) == before


def test_the_active_one_is_corrected(either: ModuleType, home: Path) -> None:
    run_module(either, **{**WANTED, "description": "edited"})
    activate(home, NAME)
    assert run_module(either, **WANTED)["changed"]
    assert json.loads((home / ".docker" / "config.json").read_text())["currentContext"] == NAME


def test_it_is_the_users_own(needs_root: None, home: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under sudo, everything below the user's folder belongs to the user."""
    everybodys = shutil.which("python3", path="/usr/bin")  # the one that runs the tests may be in a folder of root's
    if everybodys is None:
        pytest.skip("there is no /usr/bin/python3")
    sockets.chmod(0o755)
    commands, module = Commands(sockets / "bin"), load_module("docker_context")
    commands.add("docker", STAND_IN, python=everybodys)
    commands.log.touch()
    commands.log.chmod(0o666)
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    own, nobody = sockets / "own", pwd.getpwnam("nobody")
    own.mkdir()
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    answer = run_module(module, user="nobody", config_dir=str(own / ".docker"), **WANTED)
    assert answer["changed"]
    assert {path.stat().st_uid for path in own.rglob("*")} == {nobody.pw_uid}
    assert picture(home) == {}
