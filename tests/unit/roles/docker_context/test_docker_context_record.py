"""An uninstall goes by the record: what setup made goes, what was before comes back, what was edited since stays."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_contexts

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

Recorded = Callable[[], dict[str, Any]]


def kept(home: Path) -> dict[str, bytes]:
    return {path: data for path, data in picture(home).items() if path.startswith(".docker/contexts")}


def mine(home: Path, name: str = NAME) -> dict[str, bytes]:
    """A context of the user's own, with a certificate."""
    write_context(home, name, "tcp://192.0.2.1:2376")
    folder = home / ".docker/contexts/tls" / meta_file(home, name).parent.name / "docker"
    folder.mkdir(parents=True)
    (folder / "key.pem").write_text("secret")
    (folder / "key.pem").chmod(0o600)
    return kept(home)


def test_one_that_nobody_made_with_setup_is_not_removed(module: ModuleType, home: Path) -> None:
    before = mine(home)
    answer = run_module(module, state="absent")
    assert not answer["changed"]
    assert kept(home) == before


def test_one_that_was_there_before_comes_back_byte_for_byte(module: ModuleType, home: Path, state: Path) -> None:
    before = mine(home)
    assert run_module(module, **WANTED).actions == [("change", f"docker context {NAME}")]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])
    assert [path.stat().st_mode & 0o777 for path in (state / "backup").iterdir()] == [0o600]
    assert not run_module(module, **WANTED)["changed"]
    plan = run_module(module, check_mode=True, state="absent")
    answer = run_module(module, state="absent")
    assert answer.actions == plan.actions == [("change", f"docker context {NAME}")]
    assert "endpoint: tcp://192.0.2.1:2376" in answer["diff"][0]["after"]
    assert kept(home) == before
    key = next(path for path in home.rglob("key.pem"))
    assert key.stat().st_mode & 0o777 == 0o600
    assert not run_module(module, state="absent")["changed"]
    assert kept(home) == before


def test_one_that_was_just_so_before_stays(module: ModuleType, home: Path, recorded: Recorded) -> None:
    write_context(home, NAME, WANTED["endpoint"])
    data = json.loads(meta_file(home).read_text())
    meta_file(home).write_text(json.dumps({**data, "Metadata": {"Description": WANTED["description"]}}))
    before = kept(home)
    assert not run_module(module, **WANTED)["changed"]
    assert [entry["name"] for entry in recorded()["contexts"]] == [NAME]
    assert not run_module(module, state="absent")["changed"]
    assert kept(home) == before


def test_what_was_edited_since_stays_and_is_said(module: ModuleType, home: Path) -> None:
    run_module(module, **WANTED)
    data = json.loads(meta_file(home).read_text())
    data["Endpoints"]["docker"]["Host"] = "ssh://me@192.0.2.1"
    meta_file(home).write_text(json.dumps(data))
    before = kept(home)
    answer = run_module(module, state="absent")
    assert answer["notes"] == [f"The docker context {NAME} was edited since setup and is left as it is."]
    assert answer.actions == []
    assert kept(home) == before


def test_one_that_somebody_removed_since_does_not_come_back(module: ModuleType, home: Path) -> None:
    mine(home)
    run_module(module, **WANTED)
    shutil.rmtree(home / ".docker/contexts")
    assert not run_module(module, state="absent")["changed"]
    assert kept(home) == {}


def test_every_name_and_folder_that_setup_used_is_given_back(module: ModuleType, home: Path, tmp_path: Path) -> None:
    others = mine(home, "work-before")
    run_module(module, **{**WANTED, "name": "work"})
    run_module(module, **WANTED)
    run_module(module, **WANTED, config_dir=str(tmp_path / "elsewhere"))
    answer = run_module(module, state="absent")
    assert answer.actions == [("remove", f"docker context {name}") for name in ("work", NAME, NAME)]
    assert kept(home) == others
    assert not (tmp_path / "elsewhere").exists()


def test_check_mode_writes_no_record(module: ModuleType, home: Path, state: Path) -> None:
    run_module(module, **WANTED, check_mode=True)
    assert not state.exists()


def test_a_killed_giving_back_is_ended_by_the_next(
    module: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error", "x")

    before = mine(home)
    run_module(module, **WANTED)
    with monkeypatch.context() as patch:
        patch.setattr(containai_contexts.Contexts, "_tar", killed)
        assert run_module(module, state="absent")["failed"]
    assert kept(home) == {}
    assert run_module(module, state="absent").actions == [("change", f"docker context {NAME}")]
    assert kept(home) == before


def test_without_its_backup_it_stays_as_it_is(module: ModuleType, home: Path, state: Path) -> None:
    mine(home)
    run_module(module, **WANTED)
    shutil.rmtree(state / "backup")
    answer = run_module(module, state="absent")
    assert "is not in" in answer["msg"]
    assert stored(home)[0] == WANTED["endpoint"]


def test_the_active_one_may_become_what_it_was(module: ModuleType, home: Path) -> None:
    before = mine(home)
    run_module(module, **WANTED)
    activate(home, NAME)
    assert run_module(module, state="absent")["changed"]
    assert kept(home) == before


def test_a_user_who_is_gone_is_said(module: ModuleType, home: Path, state: Path) -> None:
    run_module(module, **WANTED)
    record = state / "record.json"
    data = json.loads(record.read_text())
    data["contexts"][0]["user"] = "nobody-of-this-name"
    record.write_text(json.dumps(data))
    assert "nobody-of-this-name is not on this host any more" in run_module(module, state="absent")["notes"][0]


def test_a_record_of_a_user_holds_contexts_only_and_goes_with_the_last(
    module: ModuleType, home: Path, tmp_path: Path
) -> None:
    where = {"state_dir": str(tmp_path / "own")}
    mine(home)
    run_module(module, **WANTED, **where)
    assert set(json.loads((tmp_path / "own/record.json").read_text())) == {"version", "contexts"}
    run_module(module, state="absent", **where)
    assert list((tmp_path / "own").iterdir()) == []


def test_root_reads_and_writes_as_the_user(
    needs_root: None, home: Path, sockets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link in the user's folder leads root nowhere."""
    everybodys = shutil.which("python3", path="/usr/bin")
    if everybodys is None:
        pytest.skip("there is no /usr/bin/python3")
    sockets.chmod(0o755)
    commands = Commands(sockets / "bin")
    commands.add("docker", STAND_IN, python=everybodys)
    commands.link("rm", "tar")
    commands.log.touch()
    commands.log.chmod(0o666)
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    own, nobody, secret = sockets / "own", pwd.getpwnam("nobody"), tmp_path / "secret"
    own.mkdir()
    secret.write_text("root's")
    secret.chmod(0o600)
    mine(own)
    folder = own / ".docker/contexts/tls" / meta_file(own).parent.name / "docker"
    (folder / "ca.pem").symlink_to(secret)
    for path in (own, *own.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    module, where = load_module("docker_context"), {"config_dir": str(own / ".docker")}
    run_module(module, user="nobody", **where, **WANTED)
    assert b"root's" not in b"".join(path.read_bytes() for path in (tmp_path / "state/backup").iterdir())
    run_module(module, state="absent")
    assert (folder / "ca.pem").is_symlink()
    assert {path.lstat().st_uid for path in own.rglob("*")} == {nobody.pw_uid}
