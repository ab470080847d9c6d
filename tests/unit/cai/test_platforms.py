"""What a machine is, is decided in one place: by the kernel's name, and by WSL's own files where the name does not say."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from cai import content, platforms
from cai.platforms import Platform

# Real strings of /proc/version, and what else a builder may write there.
KERNELS = {
    "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1) (gcc 11.2.0)": "wsl2",
    "Linux version 4.19.84-microsoft-standard (oe-user@oe-host)": "wsl2",
    "Linux version 5.4.0-MICROSOFT-STANDARD (me@box)": "wsl2",
    "Linux version 6.6.36-microsoft-WSL2 (me@box)": "wsl2",
    "Linux version 6.1.21.1-microsoft-custom-WSL2+ (me@box)": "wsl2",
    "Linux version 6.13.6-WSL2-STABLE+ (me@box) (gcc (Debian 12.2.0-14) 12.2.0) #1 SMP": "wsl2",
    "Linux version 5.15-WSL2-xanmod (MICROSOFT-PC)": "wsl2",
    "Linux version 5.15 my-own-microsoft-WSL2 (x)": "wsl2",
    "Linux version 6.9.1-wsl2 (me@box)": "wsl2",
    "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) (gcc version 5.4.0 (GCC) ) #1237-Microsoft Sat Sep 11": "wsl1",
    "Linux version 3.4.0-Microsoft (Microsoft@Microsoft.com) (gcc version 4.7 (GCC) ) #1 SMP": "wsl1",
    "Linux version 6.1.0-31-amd64 (debian-kernel@lists.debian.org)": "linux",
    "Linux version 6.8.0-1021-azure (buildd@lcy02-amd64-098)": "linux",
    "Linux version 6.12.0 (me@microsoft-pc) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP": "linux",
    "Linux version 6.12.0 (root@MICROSOFT-STANDARD) (gcc 13) #1": "linux",
    "Linux version 6.12.0 (me@laptop-WSL2) (gcc 13) #1": "linux",
    "": "linux",
}


@pytest.mark.parametrize(("text", "platform"), KERNELS.items())
def test_tells_the_kernels_apart(text, platform):
    assert platforms.shared().platform_of(text) == platform


def test_the_release_counts_as_well():
    assert platforms.shared().platform_of("Linux version 6.13 (x)", "6.13.6-WSL2-STABLE+\n") == "wsl2"
    assert platforms.shared().platform_of("", "4.4.0-19041-Microsoft\n") == "wsl1"
    assert platforms.shared().platform_of("", "6.12.0-microsoft-pc\n") == "linux"


def interop(root):
    (root / "proc/sys/fs/binfmt_misc").mkdir(parents=True)
    (root / "proc/sys/fs/binfmt_misc/WSLInterop").touch()


def late_interop(root):
    (root / "proc/sys/fs/binfmt_misc").mkdir(parents=True)
    (root / "proc/sys/fs/binfmt_misc/WSLInterop-late").touch()


def wslinfo(root):
    (root / "usr/bin").mkdir(parents=True)
    (root / "init").touch(0o755)
    (root / "usr/bin/wslinfo").symlink_to(root / "init")


def shared_folder(root):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mounts").write_text("/dev/sdc / ext4 rw 0 0\nnone /mnt/wsl tmpfs rw,relatime 0 0\n")


@pytest.mark.parametrize("sign", [interop, late_interop, wslinfo, shared_folder])
def test_a_kernel_of_any_name_is_wsl2_by_wsls_own_files(tmp_path, sign):
    sign(tmp_path)
    signs = platforms.shared().wsl_signs(tmp_path)
    assert signs
    assert platforms.shared().platform_of("Linux version 6.15.1-xanmod (me@box)", "6.15.1-xanmod", signs) == "wsl2"
    # WSL1 has most of them too.
    assert platforms.shared().platform_of("Linux version 4.4.0-22621-Microsoft (x)", "", signs) == "wsl1"


def moved_distro(root):
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/wslinfo").symlink_to(root / "init")


def folder(root):
    (root / "mnt/wsl").mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mounts").write_text("/dev/loop0 /mnt/wsl ext4 rw 0 0\n\nodd\n")


@pytest.mark.parametrize("leftover", [moved_distro, folder, lambda root: None])
def test_what_a_native_machine_may_have_is_no_sign(tmp_path, leftover):
    leftover(tmp_path)
    assert not platforms.shared().wsl_signs(tmp_path)


@pytest.mark.parametrize(
    ("system", "platform"),
    [("Darwin", Platform.MACOS), ("FreeBSD", Platform.UNSUPPORTED), ("CYGWIN_NT-10.0", Platform.UNSUPPORTED)],
)
def test_other_systems_are_not_asked_for_a_kernel(monkeypatch, system, platform):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname=system))
    monkeypatch.setattr(platforms, "shared", lambda: pytest.fail("asked"))
    assert platforms.detect() is platform


@pytest.mark.parametrize("name", ["wsl2", "wsl1", "linux"])
def test_the_command_takes_the_roles_word(monkeypatch, name):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname="Linux"))
    monkeypatch.setattr(platforms, "shared", lambda: SimpleNamespace(platform_here=lambda: name))
    assert platforms.detect() is Platform(name)


def test_the_roles_own_code_is_loaded_whatever_the_content_is(monkeypatch, tmp_path):
    monkeypatch.setenv(content.OVERRIDE, str(tmp_path))
    platforms.shared.cache_clear()
    assert Path(platforms.shared().__file__).parts[-5:-1] == ("roles", "containai_common", "module_utils", "containai")


def test_only_platforms_with_a_playbook_are_supported():
    assert {p for p in Platform if p.supported} == {Platform.MACOS, Platform.WSL2, Platform.LINUX}
