"""A host on which Sysbox could not start is refused, and said why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils import containai_sysbox_needs as needs
from ansible.module_utils.containai.errors import Failure

MOUNTINFO = """22 1 0:20 / / rw - {root} /dev/root rw
30 22 0:21 / /var/lib/sysbox-other rw - overlay overlay rw
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host on which all is there."""
    monkeypatch.setattr(needs, "ROOT", str(tmp_path))
    modules = tmp_path / "lib/modules" / os.uname().release
    for folder in (tmp_path / "proc/self/ns", tmp_path / "proc/sys/kernel/seccomp", modules):
        folder.mkdir(parents=True)
    for name in ("user", "time"):
        (tmp_path / "proc/self/ns" / name).touch()
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTINFO.format(root="ext4"))
    (tmp_path / "proc/sys/kernel/seccomp/actions_avail").write_text("kill_process user_notif log allow\n")
    (tmp_path / "proc/filesystems").write_text("nodev\tproc\n\text4\n\tfuseblk\nnodev\tfuse\n")
    (modules / "modules.dep").write_text("kernel/fs/overlayfs/overlay.ko.zst:\n")
    return tmp_path


def test_a_host_with_all_of_it_passes(root: Path) -> None:
    needs.check_needs({"version": "0.7.1"})


@pytest.mark.parametrize("kind", ["overlay", "tmpfs", "shiftfs"])
def test_a_file_system_that_sysbox_refuses(root: Path, kind: str) -> None:
    (root / "proc/self/mountinfo").write_text(MOUNTINFO.format(root=kind))
    with pytest.raises(Failure, match=r"is on \w+fs, which Sysbox refuses") as stopped:
        needs.check_needs({"version": "0.7.1"})
    assert stopped.value.kind == "precondition"
    (root / "proc/self/mountinfo").write_text(
        MOUNTINFO.format(root=kind) + "31 22 8:1 / /var/lib/sysbox rw - ext4 /dev/sda rw\n"
    )
    needs.check_needs({"version": "0.7.1"})


GONE = {
    "user namespaces": "proc/self/ns/user", "time namespaces": "proc/self/ns/time",
    "seccomp": ("proc/sys/kernel/seccomp/actions_avail", "kill_process allow"),
    "FUSE": ("proc/filesystems", "\text4\n\tfuseblk\n"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "gone"), GONE.items(), ids=GONE.keys())
def test_a_kernel_that_lacks_something(root: Path, said: str, gone: str | tuple[str, str]) -> None:
    if isinstance(gone, str):
        (root / gone).unlink()
    else:
        (root / gone[0]).write_text(gone[1])
    with pytest.raises(Failure, match=f"has no {said}") as stopped:
        needs.check_needs({"version": "0.7.1"})
    assert stopped.value.kind == "precondition"
    assert "`" in stopped.value.hint


def test_a_module_that_can_be_loaded_is_as_good(root: Path) -> None:
    (root / "lib/modules" / os.uname().release / "modules.dep").write_text("")
    with pytest.raises(Failure, match="has no overlayfs"):
        needs.check_needs({"version": "0.7.1"})


def test_what_cannot_be_looked_at_is_not_missing(root: Path) -> None:
    (root / "proc/filesystems").unlink()
    (root / "proc/self/mountinfo").unlink()
    needs.check_needs({"version": "0.7.1"})
