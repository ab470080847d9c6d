"""The engine's files, all or nothing, and its group."""

from __future__ import annotations

import errno
import grp
import json
import os
import stat
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, load_module, run_module


@pytest.fixture
def module(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with programs that keep groups in a file, as particular as the originals."""
    loaded = load_module("docker_engine_files")
    groups = tmp_path / "groups.json"
    groups.write_text("{}")
    common = f"path = {str(groups)!r}\ngroups = json.load(open(path))\n"
    save = "\njson.dump(groups, open(path, 'w'))\n"
    commands.add(
        "groupadd",
        common
        + "name = sys.argv[-1]\nif name in groups:\n    sys.exit(f\"groupadd: group '{name}' already exists\")\ngroups[name] = []"
        + save,
        python=True,
    )
    commands.add(
        "usermod",
        common
        + "group, user = sys.argv[-2:]\nif group not in groups:\n    sys.exit(f\"usermod: group '{group}' does not exist\")\ngroups[group].append(user)"
        + save,
        python=True,
    )

    def getgrnam(name: str) -> Any:
        return SimpleNamespace(gr_gid=990, gr_mem=json.loads(groups.read_text())[name])

    monkeypatch.setattr(loaded.grp, "getgrnam", getgrnam)
    return loaded


def files(folder: Path, content: str = "one\n") -> list[dict[str, str]]:
    return [
        {"path": str(folder / "etc" / "a.service"), "content": content, "mode": "0644"},
        {"path": str(folder / "libexec" / "program"), "content": "#!/bin/sh\n# @REVISION@\n", "mode": "0755"},
    ]


def test_files_are_made(module: ModuleType, tmp_path: Path, recorded) -> None:
    answer = run_module(module, files=files(tmp_path))
    assert answer.actions == [
        ("create", str(tmp_path / "etc" / "a.service")),
        ("create", str(tmp_path / "libexec" / "program")),
    ]
    assert (tmp_path / "etc" / "a.service").read_text() == "one\n"
    assert stat.S_IMODE((tmp_path / "libexec" / "program").stat().st_mode) == 0o755
    assert (tmp_path / "libexec" / "program").read_text() == f"#!/bin/sh\n# {answer['revision']}\n"
    assert set(recorded()["files"]) == {file["path"] for file in files(tmp_path)}


def test_the_record_knows_a_file_before_it_is_there(
    module: ModuleType, tmp_path: Path, recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = []
    replace = module.replace

    def noting(path: str, *more: Any, **flags: Any) -> None:
        known.append(path in recorded().get("files", {}))
        replace(path, *more, **flags)

    monkeypatch.setattr(module, "replace", noting)
    run_module(module, files=files(tmp_path))
    assert known == [True, True]


def test_a_second_time_changes_nothing(module: ModuleType, tmp_path: Path, recorded) -> None:
    first = run_module(module, files=files(tmp_path), group="containai", user="dev")
    before = recorded(), [(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()]
    answer = run_module(module, files=files(tmp_path), group="containai", user="dev")
    assert not answer["changed"]
    assert answer["actions"] == answer["diff"] == answer["notes"] == []
    assert answer["revision"] == first["revision"]
    assert (recorded(), [(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()]) == before


def test_the_revision_speaks_of_every_file(module: ModuleType, tmp_path: Path) -> None:
    one = run_module(module, check_mode=True, files=files(tmp_path))["revision"]
    two = run_module(module, check_mode=True, files=files(tmp_path, "two\n"))["revision"]
    assert one != two


def test_an_edited_file_is_put_right_and_the_edit_kept(module: ModuleType, tmp_path: Path, recorded) -> None:
    run_module(module, files=files(tmp_path))
    path = tmp_path / "etc" / "a.service"
    path.write_text("edited\n")
    answer = run_module(module, files=files(tmp_path))
    assert answer.actions == [("change", str(path))]
    assert answer["diff"][0]["before"] == "edited\n"
    assert answer["diff"][0]["after"] == "one\n"
    assert path.read_text() == "one\n"
    assert Path(recorded()["files"][str(path)]["edited"]).read_text() == "edited\n"


def test_a_drifted_mode_is_put_right(module: ModuleType, tmp_path: Path) -> None:
    run_module(module, files=files(tmp_path))
    (tmp_path / "libexec" / "program").chmod(0o600)
    assert run_module(module, files=files(tmp_path)).actions == [("change", str(tmp_path / "libexec" / "program"))]
    assert stat.S_IMODE((tmp_path / "libexec" / "program").stat().st_mode) == 0o755


def test_a_deleted_file_comes_back(module: ModuleType, tmp_path: Path) -> None:
    run_module(module, files=files(tmp_path))
    (tmp_path / "etc" / "a.service").unlink()
    assert run_module(module, files=files(tmp_path)).actions == [("create", str(tmp_path / "etc" / "a.service"))]


def test_check_mode_says_all_and_makes_nothing(
    module: ModuleType, tmp_path: Path, state: Path, commands: Commands
) -> None:
    plan = run_module(module, check_mode=True, files=files(tmp_path), group="containai", user="dev")
    assert not (tmp_path / "etc").exists()
    assert not state.exists()
    assert commands.calls == []
    real = run_module(module, files=files(tmp_path), group="containai", user="dev")
    assert plan["actions"] == real["actions"]
    assert plan["diff"] == real["diff"]


def test_the_data_root_is_marked_once(module: ModuleType, tmp_path: Path, recorded) -> None:
    root = tmp_path / "data"
    plan = run_module(module, check_mode=True, files=files(tmp_path), data_root=str(root))
    assert not root.exists()
    real = run_module(module, files=files(tmp_path), data_root=str(root))
    assert plan.actions == real.actions
    assert ("create", str(root / ".containai")) in real.actions
    assert stat.S_IMODE(root.stat().st_mode) == 0o710
    assert recorded()["data_roots"] == [str(root)]
    assert str(root / ".containai") not in recorded()["files"]  # it stays with the data
    assert real["revision"] == run_module(module, check_mode=True, files=files(tmp_path))["revision"]
    assert run_module(module, files=files(tmp_path), data_root=str(root)).actions == []


def test_a_dry_run_by_who_may_not_look_into_the_data_root_tells_no_new_mark(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that an uninstall left: they have the mark, and the record that knew of them is gone."""
    root = tmp_path / "data"
    root.mkdir(0o710)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != str(root))
    assert run_module(module, check_mode=True, files=files(tmp_path)[:0], data_root=str(root)).actions == []


def test_a_data_root_with_files_of_others_gets_no_mark(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "data" / "photos").mkdir(parents=True)
    assert not run_module(module, files=[], data_root=str(tmp_path / "data"))["changed"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["photos"]


def test_the_group_is_made_and_the_user_told(module: ModuleType, recorded, commands: Commands) -> None:
    answer = run_module(module, files=[], group="containai", user="dev")
    assert answer.actions == [("create", "group containai"), ("change", "group containai: add dev")]
    assert commands.calls == [
        ["groupadd", "--system", "containai"],
        ["usermod", "--append", "--groups", "containai", "dev"],
    ]
    assert "`newgrp containai`" in answer["notes"][0]
    assert recorded()["groups"] == ["containai"]
    assert recorded()["members"] == [["containai", "dev"]]


def test_a_group_that_was_there_is_not_ours(module: ModuleType, recorded, commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text('{"containai": []}')
    assert run_module(module, files=[], group="containai", user="dev").actions == [
        ("change", "group containai: add dev")
    ]
    assert "groups" not in recorded()


@pytest.mark.parametrize("user", ["root", ""])
def test_root_needs_no_group(module: ModuleType, user: str) -> None:
    assert run_module(module, files=[], group="containai", user=user).actions == [("create", "group containai")]


def test_no_group_is_asked_for(module: ModuleType, commands: Commands) -> None:
    assert not run_module(module, files=[])["changed"]
    assert commands.calls == []


def test_a_program_that_fails_is_quoted(module: ModuleType, commands: Commands) -> None:
    commands.add("usermod", 'echo "usermod: user dev does not exist" >&2; exit 6')
    answer = run_module(module, files=[], group="containai", user="dev")
    assert "usermod: user dev does not exist" in answer["msg"]
    assert "`sudo usermod --append --groups containai dev`" in answer["hint"]


def test_a_missing_program_is_named(module: ModuleType, commands: Commands) -> None:
    (commands.folder / "groupadd").unlink()
    answer = run_module(module, files=[], group="containai")
    assert "groupadd" in answer["msg"]


def test_a_full_disk_leaves_what_was_there(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_module(module, files=files(tmp_path))
    real = os.rename

    def full(source: str, target: str) -> None:
        if target.endswith("a.service"):
            raise OSError(errno.ENOSPC, "No space left on device", target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        answer = run_module(module, files=files(tmp_path, "two\n"))
    assert "No space left on device" in answer["msg"]
    assert (tmp_path / "etc" / "a.service").read_text() == "one\n"
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["a.service"]
    assert run_module(module, files=files(tmp_path, "two\n"))["changed"]


def test_what_may_not_be_read_is_a_warning(module: ModuleType, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    run_module(module, files=files(tmp_path))
    (tmp_path / "etc" / "a.service").chmod(0)
    assert "root rights" in run_module(module, check_mode=True, files=files(tmp_path)).warned


def test_a_group_of_this_machine_is_found() -> None:
    entry = grp.getgrall()[0]
    assert load_module("docker_engine_files").group_entry(entry.gr_name).gr_gid == entry.gr_gid
    assert load_module("docker_engine_files").group_entry("no-group-of-this-name") is None


def test_units_without_what_they_start_are_refused_but_planned(module: ModuleType, tmp_path: Path, recorded) -> None:
    programs = [str(tmp_path / "dockerd"), str(tmp_path / "bin" / "groupadd")]
    answer = run_module(module, files=files(tmp_path), programs=programs)
    assert answer["msg"] == "There is no dockerd on this host, which the engine's units start."
    assert "--tags docker_engine_install" in answer["hint"]
    assert recorded() == {}
    assert not (tmp_path / "etc").exists()
    assert len(run_module(module, files=files(tmp_path), programs=programs, check_mode=True).actions) == 2
    assert len(run_module(module, files=files(tmp_path), programs=programs[1:]).actions) == 2


@pytest.fixture
def running(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The engine's unit is active; the containers in it."""
    containers = [{"id": "1", "name": "agent"}]
    monkeypatch.setattr(module, "unit_state", lambda unit: {"ActiveState": "active", "MainPID": "0"})
    monkeypatch.setattr(module, "running", lambda path: containers)
    return containers


@pytest.mark.parametrize("check_mode", [True, False])
def test_files_that_need_a_restart_are_refused_while_containers_run(
    module: ModuleType, tmp_path: Path, running: list[dict[str, str]], check_mode: bool
) -> None:
    engine = {"unit": "containai-docker.service", "socket": "/run/none"}
    run_module(module, files=files(tmp_path), restart_containers=True, **engine)
    before = (tmp_path / "libexec" / "program").read_bytes()
    answer = run_module(module, check_mode=check_mode, files=files(tmp_path, "two\n"), **engine)
    assert answer["failure"] == "precondition"
    assert answer["containers"] == ["agent"]
    assert (tmp_path / "libexec" / "program").read_bytes() == before
    assert (tmp_path / "etc" / "a.service").read_text() == "one\n"
    assert not run_module(module, files=files(tmp_path), **engine)["changed"]
    running.clear()
    assert run_module(module, check_mode=check_mode, files=files(tmp_path, "two\n"), **engine)["changed"]


def test_files_are_not_changed_under_an_engine_that_does_not_answer(
    module: ModuleType, tmp_path: Path, running: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(path: str) -> None:
        raise module.Unknown(path)

    monkeypatch.setattr(module, "running", unknown)
    answer = run_module(module, files=files(tmp_path), unit="containai-docker.service", socket="/run/none")
    assert answer["failure"] == "failed"
    assert "unknown" in answer["msg"]
    assert not (tmp_path / "libexec").exists()


def test_the_owner_of_a_program_that_root_executes_is_put_right(
    module: ModuleType, tmp_path: Path, needs_root: None
) -> None:
    run_module(module, files=files(tmp_path))
    program = tmp_path / "libexec" / "program"
    os.chown(program, 12345, 12345)
    assert run_module(module, check_mode=True, files=files(tmp_path)).actions == [("change", str(program))]
    assert run_module(module, files=files(tmp_path)).actions == [("change", str(program))]
    assert (program.stat().st_uid, program.stat().st_gid) == (os.geteuid(), os.getegid())
