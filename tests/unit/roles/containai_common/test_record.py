"""The record knows every change before it happens, and a file is replaced in one step or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from ansible.module_utils.containai import record


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "daemon.json"


def test_a_new_file_gets_the_mode_it_was_given(file: Path) -> None:
    record.replace(str(file), b"new", 0o640)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert names(file.parent) == ["daemon.json"]


def test_a_file_that_is_there_keeps_its_mode(file: Path) -> None:
    file.write_bytes(b"old")
    file.chmod(0o640)  # neither the default nor a temporary file's
    record.replace(str(file), b"new", 0o644)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_is_there_keeps_its_owner(file: Path, needs_root: None) -> None:
    file.write_bytes(b"old")
    os.chown(file, 4321, 1234)
    record.replace(str(file), b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (4321, 1234)


def test_a_reader_of_the_old_file_keeps_reading_the_old_file(file: Path) -> None:
    file.write_bytes(b"old")
    with file.open("rb") as reader:
        record.replace(str(file), b"newer")
        assert reader.read() == b"old"


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    file.symlink_to(target)
    record.replace(str(file), b"new")
    assert file.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["real.json"]


def test_a_dangling_link_gets_its_target(file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "later" / "real.json")
    record.replace(str(file), b"new")
    assert file.is_symlink()
    assert (tmp_path / "later" / "real.json").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["rename", "fsync", "fchmod"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            record.replace(str(file), b"new")
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["daemon.json"]


def test_an_interrupt_leaves_no_temporary_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            record.replace(str(file), b"new")
    assert names(file.parent) == []


def saved(state: Path) -> dict:
    return json.loads((state / "record.json").read_text())


def test_the_first_bytes_are_kept(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/x", b"first", b"ours")
    book.save()
    entry = saved(state)["files"]["/etc/x"]
    assert entry["before"] == sha256(b"first").hexdigest()
    assert entry["after"] == sha256(b"ours").hexdigest()
    assert Path(entry["backup"]).read_bytes() == b"first"
    assert stat.S_IMODE(Path(entry["backup"]).stat().st_mode) == 0o600
    assert "edited" not in entry


def test_an_empty_file_is_not_an_absent_one(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/x", b"", b"ours")
    book.save()
    entry = saved(state)["files"]["/etc/x"]
    assert entry["before"] == sha256(b"").hexdigest()
    assert Path(entry["backup"]).read_bytes() == b""


def test_an_absent_file_has_no_backup(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/x", None, b"ours")
    book.save()
    entry = saved(state)["files"]["/etc/x"]
    assert entry["before"] is None
    assert entry["backup"] is None
    assert not (state / "backup").exists()


def test_a_run_killed_before_its_change_is_not_an_edit(state: Path) -> None:
    for _ in range(2):  # the first was killed between the record and the file
        book = record.Record()
        book.note_file("/etc/x", b"first", b"ours")
        book.save()
    assert "edited" not in saved(state)["files"]["/etc/x"]
    assert len(names(state / "backup")) == 1


def test_an_edit_is_kept_beside_the_first_bytes(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/x", b"first", b"ours")
    book.note_file("/etc/x", b"theirs", b"ours again")
    book.save()
    entry = saved(state)["files"]["/etc/x"]
    assert Path(entry["backup"]).read_bytes() == b"first"
    assert Path(entry["edited"]).read_bytes() == b"theirs"
    assert entry["after"] == sha256(b"ours again").hexdigest()


def test_our_own_change_of_our_own_file_is_no_edit(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/x", None, b"ours")
    book.note_file("/etc/x", b"ours", b"ours, newer")
    book.save()
    entry = saved(state)["files"]["/etc/x"]
    assert entry["backup"] is None
    assert "edited" not in entry


def test_two_files_of_one_name_have_two_backups(state: Path) -> None:
    book = record.Record()
    book.note_file("/etc/a/daemon.json", b"one", b"x")
    book.note_file("/etc/b/daemon.json", b"two", b"x")
    assert len(names(state / "backup")) == 2


def test_saving_the_same_again_writes_nothing(state: Path) -> None:
    record.Record().save()
    before = (state / "record.json").stat().st_mtime_ns, (state / "record.json").stat().st_ino
    record.Record().save()
    assert ((state / "record.json").stat().st_mtime_ns, (state / "record.json").stat().st_ino) == before


def test_a_list_has_each_value_once(state: Path) -> None:
    book = record.Record()
    for value in ("one", "one", "two"):
        book.note("groups", value)
    book.save()
    assert saved(state)["groups"] == ["one", "two"]
    book.forget("groups", "one")
    book.forget("groups", "three")
    book.save()
    assert saved(state)["groups"] == ["two"]


DPKG = "printf 'ii libc6\\n'; cat {}"


def test_what_a_package_manager_brought_is_told_from_what_was_there(commands, tmp_path: Path, state: Path) -> None:
    commands.link("cat")
    more = tmp_path / "more"
    more.write_text("rc removed-earlier\n")
    commands.add("dpkg-query", DPKG.format(more))
    book = record.Record()
    assert not book.unfinished_installation("docker")
    book.begin_installation("docker", quiet=["docker.service"])
    assert saved(state)["installing"]["docker"]["packages"] == ["libc6"]  # on disk before the first change
    more.write_text("rc removed-earlier\nii docker.io\niU half-there\n")
    again = record.Record()
    assert again.unfinished_installation("docker")
    assert again.begin_installation("docker", quiet=[])["quiet"] == ["docker.service"]  # what the killed run saw
    again.end_installation("docker")
    assert saved(state)["packages"] == ["docker.io", "half-there"]  # what an apt that was cut off left
    assert not record.Record().unfinished_installation("docker")


def test_reading_nothing_gives_none_and_nothing_else_hides(tmp_path: Path) -> None:
    assert record.read(str(tmp_path / "none")) is None
    with pytest.raises(IsADirectoryError):
        record.read(str(tmp_path))


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff"])
def test_a_damaged_record_is_said_and_left(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "record.json").write_bytes(data)
    with pytest.raises(OSError, match="damaged") as caught:
        record.Record(str(tmp_path))
    assert caught.value.filename == str(tmp_path / "record.json")
    assert (tmp_path / "record.json").read_bytes() == data


def test_extended_attributes_and_acls_stay(tmp_path: Path) -> None:
    """An ACL is an extended attribute of the kernel's own."""
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    try:
        os.setxattr(file, "user.note", b"mine")
    except OSError:
        pytest.skip("no extended attributes here")
    record.replace(str(file), b"{ }")
    assert os.getxattr(file, "user.note") == b"mine"


def test_folders_are_open_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        record.replace(str(tmp_path / "a" / "b" / "file"), b"x")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o755]
    assert (tmp_path / "a" / "b" / "file").stat().st_mode & 0o777 == 0o644


def test_a_file_of_ours_has_its_mode_before_anything_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is at no moment in a file that others may read."""
    file = tmp_path / "proxy.env"
    file.write_text("old")
    file.chmod(0o644)
    modes = []
    rename = os.rename
    monkeypatch.setattr(
        os, "rename", lambda old, new: (modes.append(Path(old).stat().st_mode & 0o777), rename(old, new))
    )
    record.replace(str(file), b"secret", 0o600, ours=True)
    assert modes == [0o600]
    assert file.stat().st_mode & 0o777 == 0o600
