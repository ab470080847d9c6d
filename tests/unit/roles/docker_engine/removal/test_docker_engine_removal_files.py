"""Uninstall goes by the record: files that setup made go, what was edited or is in use by now stays, and says so."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.docker_engine.removal.host import Host, made, note, remove


def test_files_go_back_to_what_they_were(module: ModuleType, host: Host, tmp_path: Path, state: Path) -> None:
    new, changed, edited, gone = (tmp_path / "etc" / name for name in ("new", "changed", "edited", "gone"))
    for path, before in ((new, None), (changed, b"theirs"), (edited, b"theirs"), (gone, None)):
        made(path, before, b"ours")
    edited.write_bytes(b"edited since")
    gone.unlink()
    plan = remove(module, host, check_mode=True)
    assert new.exists()
    assert host.changes() == []
    answer = remove(module, host)
    assert plan["actions"] == answer["actions"]
    assert plan["diff"] == answer["diff"]
    assert not new.exists()
    assert changed.read_bytes() == b"theirs"
    assert edited.read_bytes() == b"edited since"
    assert any(str(edited) in line for line in answer["notes"])
    assert not state.exists()
    assert ("remove", str(new)) in answer.actions
    assert ("change", str(changed)) in answer.actions


def test_a_proxys_password_is_not_shown(module: ModuleType, host: Host, tmp_path: Path) -> None:
    made(tmp_path / "proxy.env", b'HTTPS_PROXY="old:p@ss@proxy"\n', b'HTTPS_PROXY="http://me:p@ss@proxy"\n')
    answer = remove(module, host)
    assert "ss@" not in json.dumps(answer)
    assert answer["diff"][0]["before"] == 'HTTPS_PROXY="http://***@proxy"\n'
    assert answer["diff"][0]["after"] == 'HTTPS_PROXY="***@proxy"\n'


def test_a_dry_run_tells_nothing_twice(module: ModuleType, host: Host, tmp_path: Path) -> None:
    """The file's runtime and the package of Sysbox go in steps of their own before; a group goes with its user."""
    settings = tmp_path / "daemon.json"
    made(settings, None, b"{}")
    host.packages.write_text("libc6\ndocker.io\nsysbox-ce\n")
    host.needs["docker.io"] = ["sysbox-ce"]  # as fuse3 takes it along
    host.plan()
    note(packages=["docker.io", "sysbox-ce"], users=["sysbox"], groups=["sysbox", "docker"])
    told = remove(module, host, check_mode=True, daemon_json=str(settings)).actions
    assert ("remove", "packages: docker.io") in told
    assert ("remove", "group docker") in told
    assert not [what for _, what in told if what in (str(settings), "group sysbox") or "sysbox-ce" in what]


@pytest.mark.parametrize("check", [True, False])
def test_an_edited_daemon_json_is_told_by_the_step_that_takes_the_runtime_out(
    module: ModuleType, host: Host, tmp_path: Path, check: bool
) -> None:
    """It changed there by one entry: that it "is left as it is" would be no truth, and a user without root cannot know of the edit."""
    settings = tmp_path / "daemon.json"
    made(settings, b"{ }", b"{}")
    settings.write_bytes(b'{"debug": true}')
    answer = remove(module, host, check_mode=check, daemon_json=str(settings))
    assert not [text for text in [*answer["notes"], *(what for _, what in answer.actions)] if str(settings) in text]
    assert settings.read_bytes() == b'{"debug": true}'


@pytest.mark.parametrize(("before", "verb"), [(None, "remove"), (b"theirs", "change")])
def test_a_dry_run_that_may_not_read_tells_the_rest_too(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, verb: str
) -> None:
    secret, plain = tmp_path / "a-secret", tmp_path / "b-plain"
    made(secret, before, b"ours")
    made(plain, None, b"ours")
    real = module.read

    def read(path: str) -> bytes | None:
        if path == str(secret):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(module, "read", read)
    answer = remove(module, host, check_mode=True)
    assert (verb, str(secret)) in answer.actions
    assert ("remove", str(plain)) in answer.actions
    assert answer.warned == ""


def test_an_immutable_file_is_a_failure_and_the_record_stays(
    module: ModuleType, host: Host, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "immutable"
    made(path, None, b"ours")

    def unlink(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "unlink", unlink)
        answer = remove(module, host)
    assert f"{path} cannot be removed: Operation not permitted." in answer["msg"]
    assert f"`lsattr -d {path}`" in answer["hint"]
    assert (state / "record.json").exists()


def test_without_a_record_nothing_is_removed(module: ModuleType, host: Host) -> None:
    answer = remove(module, host)
    assert not answer["changed"]
    assert [call for call in host.changes() if call != ["systemctl", "daemon-reload"]] == []
    assert (host.data_root / "volume").exists()


def test_a_folder_that_is_in_use_stays(module: ModuleType, host: Host, tmp_path: Path) -> None:
    empty, used, file = tmp_path / "empty", tmp_path / "used", tmp_path / "key.json"
    empty.mkdir()
    used.mkdir()
    (used / "theirs").touch()
    file.touch()
    note(folders=[str(path) for path in (empty, used, file, tmp_path / "none")])
    remove(module, host, check_mode=True)
    assert empty.exists()
    remove(module, host)
    assert not empty.exists()
    assert not file.exists()
    assert (used / "theirs").exists()


def test_a_second_time_changes_nothing(module: ModuleType, host: Host, tmp_path: Path) -> None:
    made(tmp_path / "etc" / "new", None, b"ours")
    assert remove(module, host)["changed"]
    assert not remove(module, host)["changed"]


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_a_backup_that_is_not_whole_is_not_put_back(
    module: ModuleType, host: Host, tmp_path: Path, recorded, damage: str
) -> None:
    path = tmp_path / "etc" / "daemon.json"
    made(path, b"theirs", b"ours")
    backup = Path(recorded()["files"][str(path)]["backup"])
    backup.unlink() if damage == "gone" else backup.write_bytes(b"thei")
    answer = remove(module, host)
    assert path.read_bytes() == b"ours"
    assert any(str(path) in line for line in answer["notes"])
