"""A failed apt or download: who holds apt's lock, as the kernel knows it, and whether the clock may be the reason."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import load_module

HOLD = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    load_module("docker_engine_packages")  # makes the utilities known under Ansible's name
    from ansible.module_utils.containai import apt

    (tmp_path / "lock-frontend").touch()
    monkeypatch.setattr(apt, "LOCKS", (str(tmp_path / "lock-frontend"), str(tmp_path / "none")))
    return apt


def test_the_holder_is_named_by_process_and_program(apt: ModuleType) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, apt.LOCKS[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        holder = apt.holder()
        other.communicate()
    assert re.fullmatch(rf", process {other.pid} \(\S+\) holds its lock", holder)
    assert f"`ps -fp {other.pid}`" in apt.hint(holder, "")
    assert "docker_engine_apt_wait" in apt.hint(holder, "")


def test_a_file_of_the_same_number_elsewhere_is_not_apts(apt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, apt.LOCKS[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setattr(apt, "_open_files", lambda _pid: [(0, Path(apt.LOCKS[0]).stat().st_ino)])
        assert apt.holder() == ""
        other.communicate()


def test_without_a_holder_apt_has_the_word(apt: ModuleType) -> None:
    with Path(apt.LOCKS[0]).open("a") as own:
        fcntl.lockf(own, fcntl.LOCK_EX)  # this process itself is nobody else
        assert apt.holder() == ""
    assert "--fix-broken" in apt.hint("", "E: Unable to locate package")


def test_whoever_is_at_work_is_waited_for(apt: ModuleType) -> None:
    until_told = HOLD.replace("sys.stdin.read()", "sys.stdin.readline(); import time; time.sleep(0.2)")
    with subprocess.Popen(
        [sys.executable, "-c", until_told, apt.LOCKS[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        apt.quiet(0)
        assert apt.holder() != ""  # no longer than one wants to
        other.stdin.write(b"\n")
        other.stdin.flush()
        apt.quiet(60)
        assert apt.holder() == ""


@pytest.fixture
def dpkg(tmp_path: Path) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """dpkg with rsync and jq half unpacked; an archive makes its package whole."""
    broken, calls = {"rsync", "jq"}, []

    def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
        if argv[0] == "dpkg-query":
            rows = [f"{name} {'reinstreq' if name in broken else 'ok'}" for name in argv[4:]]
            return subprocess.CompletedProcess(argv, 0, "\n".join(rows) + "\n")
        calls.append([word.removeprefix(f"{tmp_path}/") for word in argv])
        for word in argv:
            broken.discard(Path(word).name.partition("_")[0])
        return subprocess.CompletedProcess(argv, 0, "")

    run.calls = calls
    return run


def test_what_is_half_unpacked_is_unpacked_anew_or_taken_away(apt: ModuleType, tmp_path: Path, dpkg) -> None:
    for number, name in enumerate(("jq_1.5_amd64.deb", "jq_1.6_amd64.deb", "jq-doc_1.6_all.deb")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number, number))
    apt.unpack_anew(dpkg, ["fuse3", "jq", "rsync"], f"{tmp_path}/{{}}_*.deb")
    assert dpkg.calls == [
        ["dpkg", "--unpack", "--force-depends", "jq_1.6_amd64.deb"],
        ["dpkg", "--purge", "--force-remove-reinstreq", "--force-depends", "rsync"],
    ]


def test_whole_packages_and_those_of_others_are_left(apt: ModuleType, dpkg) -> None:
    apt.unpack_anew(dpkg, ["fuse3"])
    apt.unpack_anew(dpkg, [])  # dpkg-query would list them all
    assert dpkg.calls == []


def test_a_clock_that_may_be_wrong_is_shown_and_how_to_set_it(apt: ModuleType) -> None:
    for said in [
        "E: Release file for file:/opt/repository/./InRelease is not valid yet (invalid for another 23h 59min 59s).",
        "E: Release file for file:/opt/repository/./InRelease is expired (invalid since 3d 1h 5min 21s).",
        "Certificate verification failed: The certificate is NOT trusted. The certificate chain uses not yet valid certificate.",
        "Certificate verification failed: The certificate is NOT trusted. The certificate chain uses expired certificate.",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid (_ssl.c:1000)",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1000)",
    ]:
        hint = apt.hint("", said)
        assert re.search(r"clock says \d{4}-\d\d-\d\d \d\d:\d\d UTC", hint)
        assert "`sudo hwclock --hctosys`" in hint


def test_the_clock_is_not_blamed_for_anything_else(apt: ModuleType) -> None:
    assert apt.clock_hint("certificate verify failed: self-signed certificate (_ssl.c:1000)") == ""
