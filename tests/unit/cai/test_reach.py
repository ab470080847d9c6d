"""A file system that is closed to root is found before a password is asked."""

import os
import sys

import pytest

from cai import reach
from cai.cli import common
from cai.errors import CaiError, Exit

ROOT = "22 1 8:1 / / rw - ext4 /dev/sda1 rw"
CLOSED = "90 22 0:55 / {} rw,nosuid,nodev,relatime shared:9 - {} x rw,user_id=1000,group_id=1000{}"


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/cai/bin/python")
    monkeypatch.setattr(sys, "prefix", "/opt/cai")
    monkeypatch.setattr(reach.tempfile, "gettempdir", lambda: "/tmp")


def mounts(*rows):
    reach.MOUNTS.write_text("\n".join([ROOT, *rows]) + "\n")


@pytest.mark.parametrize("kind", ["fuse", "fuse.gocryptfs", "fuse.sshfs"])
@pytest.mark.parametrize(
    ("place", "word"),
    [("/opt/cai", "/opt/cai/bin/cai setup"), ("/home/ann", "DOCKER_CONFIG"), ("/tmp", "TMPDIR"), ("/", "/opt/cai")],
)
def test_a_mount_that_is_closed_to_root_is_refused_with_the_way_out(kind, place, word):
    mounts(CLOSED.format(place, kind, ""))
    with pytest.raises(CaiError, match="Root cannot read") as caught:
        reach.check()
    assert caught.value.code == Exit.PRECONDITION
    assert word in caught.value.hint


@pytest.mark.parametrize(
    "row",
    [
        CLOSED.format("/home/ann", "fuse.sshfs", ",allow_other"),
        CLOSED.format("/home/ann", "fuse", "").replace("user_id=1000", "user_id=0"),
        CLOSED.format("/home/ann", "nfs4", ""),
        CLOSED.format("/home/an", "fuse", ""),
        CLOSED.format("/opt/cai2", "fuse", ""),
        "nonsense",
        CLOSED.format("/home/ann", "fuse", "") + "\n23 22 8:2 / /home/ann rw - ext4 /dev/sda2 rw",
    ],
)
def test_what_root_can_read_is_no_trouble(row):
    mounts(row)
    reach.check()


def test_a_system_without_proc_is_no_trouble():
    reach.check()


def test_a_space_in_a_mount_point(monkeypatch):
    mounts(CLOSED.format("/home/ann/my\\040files", "fuse", ""))
    monkeypatch.setenv("DOCKER_CONFIG", "/home/ann/my files/docker")
    with pytest.raises(CaiError):
        reach.check()


def test_no_password_is_asked_where_root_could_not_go_on(monkeypatch):
    mounts(CLOSED.format("/opt/cai", "fuse", ""))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("cai.sudo.password", lambda: pytest.fail("asked"))
    with pytest.raises(CaiError):
        common._root()


@pytest.mark.parametrize("said", ["", "sudo: unable to execute /home/ann/bin/python: Permission denied\n"])
def test_what_only_root_can_find_out_is_tried_before_anything_starts(monkeypatch, said):
    mounts()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("cai.sudo.password", lambda: "sesame")
    monkeypatch.setattr("cai.sudo.can_run_python", lambda secret: said)
    with pytest.raises(CaiError, match="Root cannot read /opt/cai/bin/python") as caught:
        common._root()
    assert caught.value.code == Exit.PRECONDITION
    monkeypatch.setattr("cai.sudo.can_run_python", lambda secret: None)
    assert common._root() == "sesame"
