"""One module at a time changes a host, however the other one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.containai import lock

from tests.unit.roles.conftest import ROLES

HOLDER = """
import sys, time, types
sys.path.append(sys.argv[1])
import lock
lock.LOCK, lock.SYSTEMD = sys.argv[2], '/'
lock.hold(types.SimpleNamespace(check_mode=False, params={}))
print("held", flush=True)
time.sleep(60)
"""


class RefusedError(Exception):
    pass


def module(**more: Any) -> Any:
    def fail_json(**result: Any) -> None:
        raise RefusedError(result)

    return SimpleNamespace(check_mode=False, params={}, fail_json=fail_json, **more)


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.fixture
def run() -> Any:
    """The process of a run of cai, between two of its modules."""
    with subprocess.Popen(["sleep", "60"]) as other:
        other.run = f"{other.pid}:{start_of(other.pid)}"  # type: ignore[attr-defined] # for the tests
        Path(lock.LOCK).write_text(f"1 {other.run}")  # type: ignore[attr-defined]
        yield other
        other.kill()


def test_a_run_of_cai_has_the_host_to_itself_between_its_modules(needs_root: None, run: Any, monkeypatch: Any):
    monkeypatch.setenv(lock.RUN, f"{os.getpid()}:{start_of(os.getpid())}")
    start = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        lock.hold(module())
    assert time.monotonic() - start < 5, "it waited"
    (result,) = refused.value.args
    assert (result["failure"], f"process {run.pid}" in result["msg"]) == ("precondition", True)
    assert Path(lock.LOCK).read_text() == f"1 {run.run}"


def test_the_next_module_of_the_same_run_holds_it(needs_root: None, run: Any, monkeypatch: Any):
    monkeypatch.setenv(lock.RUN, run.run)
    lock.hold(module(), seconds=0)
    assert Path(lock.LOCK).read_text() == f"{os.getpid()} {run.run}"


def test_a_module_of_ansible_playbook_waits_for_a_run_of_cai(needs_root: None, run: Any):
    with pytest.raises(RefusedError):
        lock.hold(module(), seconds=0.2)
    run.kill()
    run.wait()
    lock.hold(module(), seconds=0)


@pytest.mark.parametrize("other", ["1:1", "999999999:1", "x:1", ":", "1", "\x00"])
def test_a_run_that_is_gone_or_none_holds_nothing(needs_root: None, other: str):
    Path(lock.LOCK).write_text(f"7 {other}")
    lock.hold(module(), seconds=0)


@pytest.fixture
def holder(needs_root: None) -> Any:
    """Another process that holds the lock."""
    code = [sys.executable, "-c", HOLDER, str(ROLES / "containai_common/module_utils/containai"), lock.LOCK]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        other.kill()


def test_who_holds_it_is_said_after_the_wait(holder: Any):
    with pytest.raises(RefusedError) as refused:
        lock.hold(module(), seconds=0.3)
    (result,) = refused.value.args
    assert result["failure"] == "precondition"
    assert f"process {holder.pid}" in result["msg"]
    assert f"ps -fp {holder.pid}" in result["hint"]


def test_it_dies_with_its_process(holder: Any):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock.hold(module(), seconds=0)
    assert Path(lock.LOCK).read_text() == f"{os.getpid()} "


def test_whoever_waits_gets_it(holder: Any):
    start = time.monotonic()
    threading_kill = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    lock.hold(module(), seconds=30)
    assert time.monotonic() - start > 0.3
    threading_kill.wait()


def test_an_uninstall_takes_the_file_away_and_the_next_one_makes_a_new_one(needs_root: None):
    lock.hold(module())
    lock.remove()
    assert not Path(lock.LOCK).exists()
    lock.hold(module(), seconds=0)
    assert Path(lock.LOCK).stat().st_mode & 0o777 == 0o600


def test_whoever_waited_for_a_file_that_is_gone_takes_the_new_one(holder: Any):
    Path(lock.LOCK).unlink()
    lock.hold(module(), seconds=0)
    assert Path(lock.LOCK).read_text() == f"{os.getpid()} "


@pytest.mark.parametrize("more", [{"check_mode": True}, {"params": {"report": True}}])
def test_looking_holds_nothing(more: dict[str, Any]):
    lock.hold(SimpleNamespace(**{"check_mode": False, "params": {}, **more}))
    assert not Path(lock.LOCK).exists()


@pytest.mark.parametrize("name", ["linux", "wsl2", "uninstall-linux", "uninstall-wsl2"])
def test_every_play_that_changes_a_host_names_the_run(name: str):
    plays = yaml.safe_load((ROLES.parent / "playbooks" / f"{name}.yml").read_text())
    assert [play.get("environment", {}).get(lock.RUN) for play in plays] == ["{{ cai_run | default('') }}"]
