import fcntl
import multiprocessing
import os
import stat

import pytest

from cai import folders
from cai.errors import CaiError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_xdg_variables_are_honoured_but_not_relative_ones(home, monkeypatch):
    assert folders.state_folder() == home / ".local/state/containai"
    assert folders.config_file() == home / ".config/containai/config.yml"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert str(folders.state_folder()) == "/elsewhere/containai"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert folders.state_folder() == home / ".local/state/containai"


def test_under_sudo_the_settings_are_the_users_and_the_logs_are_roots(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "daemon")
    assert folders.sudo_user() == "daemon"
    assert folders.config_file().parts[-3:] == (".config", "containai", "config.yml")
    assert str(folders.state_folder()) == "/root/.local/state/containai" or os.uname().sysname == "Darwin"
    monkeypatch.setenv("SUDO_USER", "root")
    assert folders.sudo_user() == ""


def test_a_run_folder_is_private_and_the_last_twenty_stay(home):
    runs = folders.state_folder() / "runs"
    for number in range(25):
        (runs / f"20200101-000000-{number:03}").mkdir(parents=True)
    with folders.run_folder(temporary=False) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    left = sorted(path.name for path in runs.iterdir())
    assert len(left) == folders.KEPT_RUNS
    assert left[-1] == folder.name
    assert left[0] == "20200101-000000-006"
    assert folders.last_run() == folder


def test_a_dry_runs_folder_is_elsewhere_and_goes_away(home):
    with folders.run_folder(temporary=True) as folder:
        (folder / "x").touch()
        assert home not in folder.parents
    assert not folder.exists()
    assert list(home.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(home):
    (home / ".local").write_text("a file in the way")
    with pytest.raises(CaiError, match="cannot be made") as caught, folders.run_folder(temporary=False):
        pass
    assert caught.value.hint


def hold(log, ready, go):
    with folders.only_run(log):
        ready.set()
        go.wait(20)


def test_the_lock_names_the_other_run_and_dies_with_it(home):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(home / "log", ready, go))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(CaiError) as caught, folders.only_run(home / "mine"):
            pass
        assert f"process {other.pid}" in caught.value.message
        assert caught.value.log == str(home / "log")
    finally:
        other.kill()
        other.join()
    with folders.only_run(home / "mine"):
        pass


def test_the_run_of_another_user_is_named(home, monkeypatch, tmp_path):
    monkeypatch.delenv("CAI_CONTENT", raising=False)
    monkeypatch.setattr(folders, "MACHINE", str(tmp_path))
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(CaiError) as caught, folders.only_run(home / "mine"):
            pass
        assert caught.value.message.startswith(f"Another user's cai is at work (process {os.getpid()})")
        assert f"ps -fp {os.getpid()}" in caught.value.hint
    finally:
        os.close(other)
    with folders.only_run(home / "mine"):
        pass
