"""Whose a folder is: an engine of ours gets one of its own, and nobody else's socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils import containai_data_root as places
from ansible.module_utils import containai_settings as settings
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_settings import check_places
from ansible.module_utils.containai_storage import driver_problem, file_system

PREFIX = "docker_engine_"


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "UNIT", str(tmp_path / "unit"))
    return tmp_path / "unit"


def test_a_place_of_others_is_refused() -> None:
    for path in [
        "/",
        "/var",
        "/var/lib",
        "/var/lib/docker",
        "/var/lib/docker/x",
        "/var/lib/docker/",
        "/var/lib/containerd",
        "/var/lib/containerd/x",
        "/home",
        "/etc/x",
        "/usr/local/x",
        "/run",
        "/var/run/x",
        "/tmp",
        "/srv",
    ]:
        with pytest.raises(Failure, match=f"docker_engine_data_root is {path}, and /.* is in use by others"):
            check_places({"data_root": path}, PREFIX)
        assert not places.is_ours(path)


def test_a_link_to_a_place_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/var/lib/docker")
    with pytest.raises(Failure, match="/var/lib/docker is in use"):
        check_places({"data_root": str(tmp_path / "link")}, PREFIX)


def test_a_place_of_its_own_is_not_refused() -> None:
    for path in [
        "/var/lib/docker-containai",
        "/var/lib/docker-x",
        "/home/x-none/docker",
        "/srv/none/docker",
        "/var/lib/d",
    ]:
        check_places({"data_root": path}, PREFIX)


def test_a_folder_with_files_of_others_is_refused(tmp_path: Path, unit: Path) -> None:
    check_places({"data_root": str(tmp_path / "none")}, PREFIX)
    data = tmp_path / "data"
    (data / "lost+found").mkdir(parents=True)
    check_places({"data_root": str(data)}, PREFIX)
    (data / "photos").mkdir()
    with pytest.raises(Failure, match="files are that are not the engine's"):
        check_places({"data_root": str(data)}, PREFIX)
    unit.write_text(f"dockerd \\\n  --data-root {data} --x\n")  # set up by a version that did not ask
    check_places({"data_root": str(data)}, PREFIX)
    assert not places.is_ours(str(data))


def test_a_file_is_no_folder(tmp_path: Path, unit: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="not a folder"):
        check_places({"data_root": str(tmp_path / "file")}, PREFIX)


def test_a_marked_folder_is_ours(tmp_path: Path, unit: Path) -> None:
    places.mark(str(tmp_path / "data"))
    (tmp_path / "data" / "overlay2").mkdir()
    assert places.is_ours(str(tmp_path / "data"))
    check_places({"data_root": str(tmp_path / "data")}, PREFIX)


def test_another_engines_socket_is_refused() -> None:
    for path in ["/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock"]:
        with pytest.raises(Failure, match=f"docker_engine_socket is {path}, which is another engine's"):
            check_places({"socket": path}, PREFIX)


def test_a_link_to_another_engines_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sock").symlink_to("/run/docker.sock")
    with pytest.raises(Failure, match="another engine's"):
        check_places({"socket": str(tmp_path / "sock")}, PREFIX)


def test_our_own_socket_is_not_refused() -> None:
    check_places({"socket": "/var/run/docker-containai.sock"}, PREFIX)


def test_a_socket_that_the_kernel_or_dockerd_cannot_make_is_refused() -> None:
    with pytest.raises(Failure, match="of 124 bytes; at most 107"):
        check_places({"socket": "/run/" + "x" * 119}, PREFIX)
    with pytest.raises(Failure, match="whose folder is not there"):
        check_places({"socket": "/run/no-such-folder/docker.sock"}, PREFIX)


@pytest.mark.parametrize("kind", ["fuse.bindfs", "fuseblk", "ntfs3", "9p", "nfs4", "vfat", "overlay", "virtiofs"])
def test_a_file_system_that_holds_no_layers_is_refused(
    tmp_path: Path, unit: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(settings, "file_system", lambda path: kind)
    with pytest.raises(Failure, match=f"which is on {kind}; a folder on ext4, xfs or btrfs"):
        check_places({"data_root": str(tmp_path / "engine")}, PREFIX)
    for good in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", ""):
        monkeypatch.setattr(settings, "file_system", lambda path, good=good: good)
        check_places({"data_root": str(tmp_path / "engine")}, PREFIX)


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /mnt/d\\040x rw shared:1 - fuse.bindfs bindfs rw\n"
    )
    assert file_system("/mnt/d x/engine", str(tmp_path / "mounts")) == "fuse.bindfs"
    assert file_system("/mnt/dd", str(tmp_path / "mounts")) == "ext4"
    assert file_system("/mnt", str(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("driver", "kind", "problem"),
    [
        ("zfs", "ext4", True), ("zfs", "zfs", False), ("btrfs", "ext4", True), ("btrfs", "btrfs", False),
        ("devicemapper", "ext4", True), ("overlay2", "ext4", False), ("", "ext4", False),
    ],
)  # fmt: skip
def test_a_storage_driver_that_the_host_does_not_have_is_refused(driver: str, kind: str, problem: bool) -> None:
    assert bool(driver_problem(driver, kind)) is problem
