"""One entry of a daemon.json, put there and taken away again; the file keeps everything else."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, load_module, run_module

RUNTIME = {"path": "/usr/bin/sysbox-runc"}
ANSWERS = "[ \"$1 $2\" = '--validate --config-file' ] || exit 2\n"


@pytest.fixture
def module(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("sysbox_runtime")
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    return loaded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "daemon.json"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_no_file_becomes_one(module: ModuleType, file: Path) -> None:
    answer = run_module(module, path=str(file))
    assert answer["changed"]
    assert answer.actions == [("create", f"{file}: runtimes.sysbox-runc")]
    assert json.loads(file.read_text()) == {"runtimes": {"sysbox-runc": RUNTIME}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert names(file.parent) == ["daemon.json"]


def test_an_empty_file_is_filled(module: ModuleType, file: Path, recorded) -> None:
    file.write_bytes(b"")
    assert run_module(module, path=str(file)).actions == [("change", f"{file}: runtimes.sysbox-runc")]
    assert json.loads(file.read_text()) == {"runtimes": {"sysbox-runc": RUNTIME}}
    assert Path(recorded()["files"][str(file)]["backup"]).read_bytes() == b""


def test_a_running_engine_is_reloaded_and_waited_for(
    module: ModuleType, file: Path, commands: Commands, tmp_path: Path, engine
) -> None:
    """Without a restart: that would end its containers."""
    reloaded, broken = tmp_path / "reloaded", tmp_path / "broken"
    commands.add(
        "systemctl",
        f'case "$1 $*" in is-active*docker.service) exit 0;; reload*) [ ! -e {broken} ] || exit 1; : >{reloaded};; *) exit 3;; esac',
    )
    knows = {"Runtimes": {"sysbox-runc": RUNTIME}}
    socket = engine({"/info": lambda: knows if reloaded.exists() else {"Runtimes": {}}}).path
    chosen = {"path": str(file), "unit": "docker.service", "socket": socket}
    added, reload = ("create", f"{file}: runtimes.sysbox-runc"), ("reload", "docker.service")
    assert run_module(module, check_mode=True, **chosen).actions == [added, reload]
    assert not reloaded.exists()
    assert run_module(module, **{**chosen, "unit": "asleep.service"}).actions == [added]
    file.unlink()
    assert run_module(module, **chosen).actions == [added, reload]
    assert reloaded.exists()
    reloaded.unlink()
    assert run_module(module, **chosen).actions == []
    assert not reloaded.exists()
    file.unlink()
    broken.touch()
    assert "did not reload" in run_module(module, **chosen)["msg"]


def test_a_second_time_changes_nothing(module: ModuleType, file: Path, recorded) -> None:
    file.write_text('{\n\t"debug": true\n}\n')
    run_module(module, path=str(file))
    before = file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino, recorded()
    answer = run_module(module, path=str(file))
    assert not answer["changed"]
    assert answer["actions"] == []
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino, recorded()) == before


def test_the_owner_stays(module: ModuleType, file: Path, needs_root: None) -> None:
    file.write_text("{}")
    os.chown(file, 4321, 1234)
    run_module(module, path=str(file))
    assert (file.stat().st_uid, file.stat().st_gid) == (4321, 1234)


def test_a_link_stays_and_its_target_changes(module: ModuleType, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    target.write_text('{"debug": true}')
    file.symlink_to(target)
    run_module(module, path=str(file))
    assert file.is_symlink()
    assert json.loads(target.read_text()) == {"debug": True, "runtimes": {"sysbox-runc": RUNTIME}}


def test_check_mode_shows_all_and_writes_nothing(module: ModuleType, file: Path, state: Path) -> None:
    file.write_text('{"debug": true}')
    before = file.stat().st_mtime_ns
    answer = run_module(module, check_mode=True, path=str(file))
    assert answer["changed"]
    (diff,) = answer["diff"]
    assert diff["before_header"] == diff["after_header"] == str(file)
    assert diff["before"] == '{"debug": true}'
    assert file.read_text() == '{"debug": true}'
    assert file.stat().st_mtime_ns == before
    assert not state.exists()
    real = run_module(module, path=str(file))  # and the real run then does exactly that
    assert real["diff"] == answer["diff"]
    assert real["actions"] == answer["actions"]
    assert file.read_text() == diff["after"]


def test_check_mode_makes_no_file(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "none" / "daemon.json"
    assert run_module(module, check_mode=True, path=str(path)).actions == [("create", f"{path}: runtimes.sysbox-runc")]
    assert not path.parent.exists()


def test_another_path_is_replaced_and_told(module: ModuleType, file: Path) -> None:
    file.write_text('{"runtimes": {"sysbox-runc": {"path": "/opt/sysbox", "runtimeArgs": ["--log", "/x"]}}}')
    answer = run_module(module, path=str(file))
    assert "/opt/sysbox" in answer.warned
    assert "/usr/bin/sysbox-runc" in answer.warned
    assert json.loads(file.read_text())["runtimes"]["sysbox-runc"] == {**RUNTIME, "runtimeArgs": ["--log", "/x"]}


def test_an_entry_that_is_none_is_replaced(module: ModuleType, file: Path) -> None:
    for there in ("null", '"x"', "[]", "{}", '{"path": 7}'):
        file.write_text(f'{{"runtimes": {{"sysbox-runc": {there}}}}}')
        assert run_module(module, path=str(file))["changed"], there
        assert json.loads(file.read_text()) == {"runtimes": {"sysbox-runc": RUNTIME}}


def test_a_default_runtime_is_left_and_told(module: ModuleType, file: Path) -> None:
    file.write_text('{"default-runtime": "sysbox-runc"}')
    assert "default" in run_module(module, path=str(file)).warned
    assert json.loads(file.read_text())["default-runtime"] == "sysbox-runc"
    again = run_module(module, path=str(file))
    assert not again["changed"]
    assert "default" in again.warned


def test_nothing_to_tell_is_not_told(module: ModuleType, file: Path) -> None:
    file.write_text('{"default-runtime": "runc"}')
    assert run_module(module, path=str(file)).warned == ""


def test_a_folder_in_its_place_is_refused(module: ModuleType, file: Path) -> None:
    file.mkdir()
    assert "Is a directory" in run_module(module, path=str(file))["msg"]


def test_dockerd_is_asked_before_the_file_changes(module: ModuleType, file: Path, commands: Commands) -> None:
    commands.link("cp", "grep")
    kept = file.parent.parent / "seen.json"
    commands.add("dockerd", f'{ANSWERS}grep -q debug "$3" && cp "$3" {kept} && grep -q sysbox {file} && exit 3\nexit 0')
    file.write_text('{"debug": true}')
    run_module(module, path=str(file))
    assert kept.read_bytes() == file.read_bytes()
    trial = commands.of("dockerd")[0][2]
    assert not Path(trial).exists()


def test_dockerds_objection_leaves_the_file(module: ModuleType, file: Path, commands: Commands, state: Path) -> None:
    commands.add(
        "dockerd",
        ANSWERS + 'echo "a line of no interest" >&2\n'
        'echo "unable to configure the Docker daemon with file $3: the following directives don\'t match any configuration option: nonsense" >&2; exit 1',
    )
    file.write_text('{"nonsense": 1}')
    answer = run_module(module, path=str(file))
    assert answer["failure"] == "precondition"
    assert (
        "with file daemon.json: the following directives don't match any configuration option: nonsense"
        in answer["msg"]
    )
    assert file.read_text() == '{"nonsense": 1}'
    assert names(file.parent) == ["daemon.json"]
    assert not state.exists()


def test_an_older_dockerd_without_validate_is_no_objection(module: ModuleType, file: Path, commands: Commands) -> None:
    commands.add("dockerd", 'echo "unknown flag: --validate" >&2; exit 125')
    assert run_module(module, path=str(file))["changed"]


def test_a_dockerd_that_dies_without_a_word_is_an_objection(module: ModuleType, file: Path, commands: Commands) -> None:
    commands.add("dockerd", "kill -9 $$")
    answer = run_module(module, path=str(file))
    assert answer["failure"] == "precondition"
    assert "dockerd" in answer["msg"]
    assert not file.exists()


def test_check_mode_runs_no_program(module: ModuleType, file: Path, commands: Commands) -> None:
    commands.add("dockerd", "exit 0")
    run_module(module, check_mode=True, path=str(file))
    assert commands.calls == []


@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_a_full_disk_leaves_the_old_bytes(
    module: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file.write_text('{"debug": true}')
    real = getattr(os, call)

    def full(*arguments: object) -> None:
        if call == "fsync" or arguments[-1] == str(file):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        answer = run_module(module, path=str(file))
    assert answer["failure"] == "failed"
    assert "No space left on device" in answer["msg"]
    assert "`df -h" in answer["hint"]
    assert file.read_text() == '{"debug": true}'
    assert names(file.parent) == ["daemon.json"]
    assert run_module(module, path=str(file))["changed"]  # and once there is room, the next run succeeds


@pytest.mark.parametrize(("before", "verb"), [(None, "remove"), (b"{}", "change")])
def test_a_dry_run_that_may_not_read_the_file_tells_what_root_will_do(
    module: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, verb: str
) -> None:
    real = module.read

    def read(path: str) -> bytes | None:
        if path == str(file):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    def planned(state: str) -> list[tuple[str, str]]:
        with monkeypatch.context() as patch:
            patch.setattr(module, "read", read)
            answer = run_module(module, check_mode=True, path=str(file), state=state)
        assert "root rights" in answer.warned
        return answer.actions

    assert planned("absent") == []  # no record: setup never was here
    assert planned("present") == [("change", f"{file}: runtimes.sysbox-runc")]
    if before is not None:
        file.write_bytes(before)
    run_module(module, path=str(file))
    assert planned("present") == []
    assert planned("absent") == [(verb, f"{file}: runtimes.sysbox-runc")]
    assert run_module(module, path=str(file), state="absent").actions == [(verb, f"{file}: runtimes.sysbox-runc")]


def test_a_folder_that_may_not_be_written_is_said(module: ModuleType, file: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes to every folder")
    file.write_text("{}")
    file.parent.chmod(0o500)
    answer = run_module(module, path=str(file))
    file.parent.chmod(0o700)
    assert answer["failure"] == "failed"
    assert file.read_text() == "{}"


@pytest.mark.parametrize("before", [None, b"", b"{}", b"{ }\n", b'{"debug": true}', b'{\n\t"runtimes": {}\n}\n'])
def test_absent_gives_the_very_bytes_back(module: ModuleType, file: Path, before: bytes | None) -> None:
    if before is not None:
        file.write_bytes(before)
    run_module(module, path=str(file))
    plan = run_module(module, check_mode=True, path=str(file), state="absent")
    answer = run_module(module, path=str(file), state="absent")
    assert answer["changed"]
    assert plan["actions"] == answer["actions"]
    assert (file.read_bytes() if file.exists() else None) == before
    assert not run_module(module, path=str(file), state="absent")["changed"]


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_absent_without_a_whole_backup_takes_out_the_entry_only(
    module: ModuleType, file: Path, recorded, damage: str
) -> None:
    file.write_text('{"debug": true}')
    run_module(module, path=str(file))
    backup = Path(recorded()["files"][str(file)]["backup"])
    backup.unlink() if damage == "gone" else backup.write_text("{")
    run_module(module, path=str(file), state="absent")
    assert json.loads(file.read_text()) == {"debug": True}


def test_absent_keeps_what_was_edited_since(module: ModuleType, file: Path) -> None:
    file.write_text('{"debug": true}')
    run_module(module, path=str(file))
    edited = json.loads(file.read_text()) | {"bip": "10.9.0.1/24"}
    file.write_text(json.dumps(edited, indent=4))
    run_module(module, path=str(file), state="absent")
    assert json.loads(file.read_text()) == {"debug": True, "bip": "10.9.0.1/24"}


def test_absent_leaves_an_entry_that_setup_never_made(module: ModuleType, file: Path) -> None:
    file.write_text('{"runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}}')
    assert not run_module(module, path=str(file), state="absent")["changed"]
    assert "sysbox-runc" in file.read_text()


def test_a_wrong_state_is_refused(module: ModuleType, file: Path) -> None:
    from ansible.module_utils.testing import patch_module_args

    with patch_module_args({"path": str(file), "state": "gone"}), pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 1


def test_a_damaged_record_is_not_blamed_on_the_file(module: ModuleType, file: Path, state: Path) -> None:
    file.write_text('{"runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}}')
    state.mkdir()
    (state / "record.json").write_text("{")
    answer = run_module(module, path=str(file), state="absent")
    assert f"{state}/record.json cannot be used: it is damaged" in answer["msg"]
    assert answer["hint"] == f"run `sudo mv {state}/record.json {state}/record.json.damaged`, then try again"
    assert "sysbox-runc" in file.read_text()
