import errno
import fcntl
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from cai import paths, run_lock
from cai.errors import CaiError, Exit


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_xdg_variables_are_honoured_but_not_relative_ones(home, monkeypatch):
    assert paths.state_folder() == home / ".local/state/containai"
    assert paths.config_file() == home / ".config/containai/config.yml"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert str(paths.state_folder()) == "/elsewhere/containai"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert paths.state_folder() == home / ".local/state/containai"


def test_under_sudo_the_settings_are_the_users_and_the_logs_are_roots(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "daemon")
    assert paths.sudo_user() == "daemon"
    assert paths.config_file().parts[-3:] == (".config", "containai", "config.yml")
    assert str(paths.state_folder()) == "/root/.local/state/containai" or os.uname().sysname == "Darwin"
    monkeypatch.setenv("SUDO_USER", "root")
    assert paths.sudo_user() == ""


def old_runs(number):
    runs = paths.state_folder() / "runs"
    for count in range(number):
        (runs / f"20200101-000000-{count:03}").mkdir(parents=True)
    return runs


def names(runs):
    return sorted(path.name for path in runs.iterdir())


def test_a_run_folder_is_private_and_the_last_twenty_stay(home):
    runs = old_runs(25)
    with run_lock.only_run() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    left = names(runs)
    assert len(left) == run_lock.KEPT_RUNS
    assert left[-1] == folder.name
    assert left[0] == "20200101-000000-006"


def test_the_last_run_is_the_last_one_that_said_something(home):
    runs = old_runs(2)
    assert paths.last_run() is None
    (runs / "20200101-000000-000" / "stdout").touch()
    with run_lock.only_run():  # and ended at the password
        pass
    assert paths.last_run() == runs / "20200101-000000-000"


def test_a_crash_keeps_its_own_folder_and_removes_no_other(home):
    runs = old_runs(25)
    folder = paths.new_folder()
    assert names(runs)[-1] == folder.name
    assert len(names(runs)) == 26


def test_a_dry_runs_folder_is_elsewhere_and_goes_away(home):
    with paths.temporary_folder() as folder:
        (folder / "x").touch()
        assert home not in folder.parents
    assert not folder.exists()
    assert list(home.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(home):
    (home / ".local").write_text("a file in the way")
    with pytest.raises(CaiError, match="cannot be made") as caught, run_lock.only_run():
        pass
    assert caught.value.hint


def test_a_file_system_without_locks_is_not_another_run(home, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", raising(OSError(errno.ENOLCK, "No locks available")))
    with pytest.raises(CaiError, match="cannot be locked: No locks available") as caught, run_lock.only_run():
        pass
    assert caught.value.code == Exit.PRECONDITION


def raising(error):
    def call(*_):
        raise error

    return call


def hold(ready, go):
    with run_lock.only_run() as folder:
        (folder / "stdout").touch()
        ready.set()
        go.wait(20)


@pytest.fixture
def other(home):
    """Another process in the middle of its run."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=hold, args=(ready, go))
    process.start()
    assert ready.wait(20)
    yield process
    process.kill()
    process.join()


@pytest.mark.parametrize("stub", [False, True], ids=["", "CAI_CONTENT"])
def test_the_lock_names_the_other_run_and_dies_with_it(home, other, monkeypatch, stub):
    if stub:
        monkeypatch.setenv("CAI_CONTENT", str(home))
    with pytest.raises(CaiError) as caught, run_lock.only_run():
        pass
    assert f"process {other.pid}" in caught.value.message
    assert caught.value.log == str(paths.last_run() / "stdout")
    assert caught.value.code == Exit.PRECONDITION
    other.kill()
    other.join()
    with run_lock.only_run():
        pass


def test_refused_runs_touch_nothing_of_the_live_one(home, other):
    runs = old_runs(30)
    before, lock = names(runs), (paths.state_folder() / "lock").read_text()
    for _ in range(3):
        with pytest.raises(CaiError), run_lock.only_run():
            pass
    assert names(runs) == before
    assert (paths.state_folder() / "lock").read_text() == lock


def test_this_process_is_told_from_another_with_its_number():
    name = run_lock.this_process()
    if Path("/proc/self/stat").exists():
        pid, start = name.split(":")
        assert int(pid) == os.getpid()
        assert int(start) > 0
    else:
        assert name == ""
