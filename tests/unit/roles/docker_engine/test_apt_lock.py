"""A failed apt: who holds its lock is said, as the kernel knows it."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import load_module

HOLD = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    load_module("docker_engine_packages")  # makes the utilities known under Ansible's name
    from ansible.module_utils import containai_lock

    (tmp_path / "lock-frontend").touch()
    monkeypatch.setattr(containai_lock, "APT_LOCKS", (str(tmp_path / "lock-frontend"), str(tmp_path / "none")))
    return containai_lock


def test_the_holder_is_named_by_process_and_program(lock: ModuleType) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock.APT_LOCKS[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        holder = lock.apt_holder()
        other.communicate()
    assert re.fullmatch(rf", process {other.pid} \(\S+\) holds its lock", holder)
    assert f"`ps -fp {other.pid}`" in lock.apt_hint(holder)
    assert "docker_engine_apt_wait" in lock.apt_hint(holder)


def test_without_a_holder_apt_has_the_word(lock: ModuleType) -> None:
    with Path(lock.APT_LOCKS[0]).open("a") as own:
        fcntl.lockf(own, fcntl.LOCK_EX)  # this process itself is nobody else
        assert lock.apt_holder() == ""
    assert "--fix-broken" in lock.apt_hint("")
