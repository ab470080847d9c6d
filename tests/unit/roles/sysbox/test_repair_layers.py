"""Owners that a killed sysbox-mgr left shifted go back to what they were; nothing else does."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import ROLES, Commands

FIRST = 231072
SYSBOX, PLAIN, IMAGE = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def program(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = str(ROLES / "sysbox/files/repair-layers")
    loader = importlib.machinery.SourceFileLoader("repair_layers", path)
    spec = importlib.util.spec_from_loader("repair_layers", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(f"dev:100000:65536\nsysbox:{FIRST}:65536\n")
    monkeypatch.setattr(module, "SUBIDS", (str(tmp_path / "subuid"), str(tmp_path / "subgid")))
    monkeypatch.setattr(module, "PROCESSES", str(tmp_path / "proc"))
    monkeypatch.setattr(module, "NOTE", str(tmp_path / "note.json"))
    monkeypatch.setattr(module, "DATA", str(tmp_path / "sysbox"))
    commands.add("systemctl", f"[ -e {tmp_path}/active ]")
    monkeypatch.setattr("sys.argv", ["repair-layers", str(tmp_path / "data")])
    return module


@pytest.fixture
def layer(program: ModuleType, tmp_path: Path, needs_root: None) -> Callable[[str, str], Path]:
    """Make the layer of a container: layer(id, runtime)."""

    def make(identity: str, runtime: str) -> Path:
        data = tmp_path / "data"
        for folder, name, text in (
            ("containers", "hostconfig.json", json.dumps({"Runtime": runtime})),
            ("image/overlay2/layerdb/mounts", "mount-id", identity[:8]),
        ):
            (data / folder / identity).mkdir(parents=True)
            (data / folder / identity / name).write_text(text)
        path = data / "overlay2" / identity[:8] / "diff"
        (path / "root/deep/er").mkdir(parents=True)
        (path / "root/deep/er/file").write_text("work")
        return path

    return make


def shift(path: Path, times: int = 1, owner: int = 0) -> None:
    os.lchown(path, owner + times * FIRST, owner + times * FIRST)


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def shift_all(layer: Path, times: int = 1) -> None:
    for path in [layer, *layer.rglob("*")]:
        shift(path, times)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_was_shifted_goes_back(program: ModuleType, layer, times: int) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    (path / "link").symlink_to("/etc/passwd")
    (path / "of-1000").touch()
    shift_all(path, times)
    shift(path / "of-1000", times, 1000)
    before = owner(Path("/etc/passwd"))
    program.main()
    assert {owner(one) for one in [path, *path.rglob("*")]} == {(0, 0), (1000, 1000)}
    assert owner(path / "of-1000") == (1000, 1000)
    assert owner(Path("/etc/passwd")) == before
    program.main()
    assert owner(path / "of-1000") == (1000, 1000)


def test_setuid_bits_access_lists_and_times_stay(program: ModuleType, layer) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    file = path / "root/deep/er/file"
    shift_all(path)
    file.chmod(0o4755)
    entries = [(1, 6, 0xFFFFFFFF), (2, 7, FIRST + 1000), (4, 4, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF)]
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path / "root", "system.posix_acl_access", listed)
    except OSError:
        listed = b""
    os.utime(file, (1, 1))
    program.main()
    status = file.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, owner(file)) == (0o4755, 1, (0, 0))
    if listed:
        assert struct.unpack_from("<HHI", os.getxattr(path / "root", "system.posix_acl_access"), 12) == (2, 7, 1000)


def test_a_half_shifted_one_is_found(program: ModuleType, layer) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    shift_all(path)
    for done in (path, path / "root"):  # sysbox-mgr was killed while it shifted back, from the top
        os.chown(done, 0, 0)
    program.main()
    assert owner(path / "root/deep/er/file") == (0, 0)


def test_a_kill_in_the_middle_is_made_good(
    program: ModuleType, layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    file = path / "root/deep/er/file"
    shift_all(path)
    file.chmod(0o6755)
    with monkeypatch.context() as patch:
        patch.setattr(program.os, "fchmod", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            program.main()
    assert owner(file) == (0, 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o755  # the kernel took the bits
    program.main()
    assert stat.S_IMODE(file.stat().st_mode) == 0o6755
    assert owner(path) == (0, 0)
    assert not (tmp_path / "note.json").exists()


@pytest.mark.parametrize("shown", ["absolute", "relative"])
def test_a_layer_that_is_mounted_is_left(program: ModuleType, layer, tmp_path: Path, shown: str) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    shift_all(path)
    named = path if shown == "absolute" else path.relative_to(tmp_path / "data/overlay2")
    (tmp_path / "proc/7/ns").mkdir(parents=True)
    (tmp_path / "proc/7/ns/mnt").symlink_to("mnt:[1]")
    line = f"1 2 0:9 / /merged rw - overlay overlay rw,lowerdir=l/A,upperdir={named},workdir=work\n"
    (tmp_path / "proc/7/mountinfo").write_text(line)
    program.main()
    assert owner(path) == (FIRST, FIRST)


def test_other_containers_and_images_are_left(program: ModuleType, layer, tmp_path: Path) -> None:
    plain = layer(PLAIN, "runc")
    image = tmp_path / "data/overlay2" / IMAGE / "diff"
    snapshot = tmp_path / "data/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/4/fs"
    for path in (image / "home", snapshot / "home"):
        path.mkdir(parents=True)
    theirs = snapshot.parents[1] / "6/fs"
    theirs.mkdir(parents=True)
    paths = (plain, plain / "root", image, image / "home", snapshot / "home", theirs)
    for path in paths:
        shift(path, owner=1000)  # of a user of a directory service, say
    program.main()
    assert {owner(path) for path in paths} == {(FIRST + 1000, FIRST + 1000)}


def test_a_snapshot_of_containerds_store_is_known_by_its_top(program: ModuleType, tmp_path: Path, needs_root) -> None:
    path = tmp_path / "data/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/5/fs"
    (path / "root").mkdir(parents=True)
    shift_all(path)
    program.main()
    assert owner(path) == owner(path / "root") == (0, 0)


@pytest.mark.parametrize(
    "text", ["", "dev:100000:65536\n", "sysbox:231072:65536\nsysbox:400000:65536\n", "sysbox:1:65536\n"]
)
def test_without_a_clear_range_nothing_is_touched(program: ModuleType, layer, tmp_path: Path, text: str) -> None:
    path = layer(SYSBOX, "sysbox-runc")
    shift_all(path)
    (tmp_path / "subuid").write_text(text)
    program.main()
    assert owner(path) == (FIRST, FIRST)


def test_what_an_inner_docker_kept_is_rescued(program: ModuleType, tmp_path: Path) -> None:
    for text in ("first", "second"):  # a killed sysbox-mgr leaves it each time
        folder = tmp_path / "sysbox/docker" / SYSBOX
        folder.mkdir(parents=True)
        (folder / "image").write_text(text)
        (tmp_path / "sysbox/docker/empty").mkdir(exist_ok=True)
        program.main()
    found = tmp_path / "data/rescued"
    assert {path.name: (path / "image").read_text() for path in found.iterdir()} == {
        f"{SYSBOX[:12]}-docker-1": "first",
        f"{SYSBOX[:12]}-docker-2": "second",
    }
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_what_a_running_sysbox_mgr_serves_is_left(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "active").touch()
    folder = tmp_path / "sysbox/docker" / SYSBOX
    (folder / "image").mkdir(parents=True)
    program.main()
    assert (folder / "image").is_dir()
