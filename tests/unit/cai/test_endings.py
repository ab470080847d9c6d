"""A run that is interrupted, or whose Ansible is killed, ends soon and leaves no process."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from cai import processes
from tests.hosts.shell import soonest, wait_for

# Seconds that stand on no other command line of this machine: these tests run side by side.
MARK = f"61.1{os.getpid():07}1"


def listed():
    return subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout


def three_seconds():
    """How long three seconds of work take on this machine just now: a program's time by the clock, by its time on a processor."""
    started, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    worked = sum(os.times()[2:4]) - sum(before[2:4])
    return 3 * max(1.0, (time.monotonic() - started) / max(worked, 0.05))


@pytest.mark.parametrize("phase", ["beginning", "starting", "step"])
def test_an_interrupted_run_ends_within_three_seconds_and_leaves_no_process(sandbox, phase):
    """By Ctrl-C; that its kin do the same is seen in test_interrupts."""
    temporary = sandbox.home / "tmp"
    temporary.mkdir()

    def attempt():
        sandbox.tasks("- name: Take a while\n  pretend: {sleep: " + MARK + "}\n")
        with sandbox.start(TMPDIR=str(temporary)) as run:
            if phase == "step":
                wait_for(lambda: MARK in listed(), "the module to be at work")
            elif phase == "starting":
                wait_for(lambda: bool(processes.descendants(run.pid)), "Ansible to start", pause=0.01)
            else:
                wait_for(lambda: bool(list(temporary.glob("cai-*"))), "the run to begin", pause=0.01)
            started = time.monotonic()
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
            took = time.monotonic() - started
        assert run.returncode == 130
        assert "Interrupted" in errors
        assert "Traceback" not in errors
        assert str(sandbox.content) not in listed()
        assert MARK not in listed()
        assert list(temporary.iterdir()) == []
        return took

    limit = three_seconds()
    assert soonest(limit, attempt) < limit
    sandbox.tasks("- name: Look at the machine\n  pretend:\n")
    assert sandbox.quick("setup").returncode == 0


def test_ctrl_c_again_and_again_does_not_interrupt_the_clean_up(sandbox):
    """As a terminal does: it reaches cai and whatever cai started in its own session."""
    temporary = sandbox.home / "tmp"
    temporary.mkdir()

    def attempt():
        sandbox.tasks("- name: Take a while\n  pretend: {sleep: " + MARK + "}\n")
        with sandbox.start(TMPDIR=str(temporary)) as run:
            assert "Begin" in run.stdout.readline()
            started = time.monotonic()
            while run.poll() is None and time.monotonic() - started < 50:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGINT)
                time.sleep(0.02)
            took = time.monotonic() - started
            _, errors = run.communicate()
        assert (run.returncode, errors.count("Interrupted.")) == (130, 1), errors
        assert "Traceback" not in errors
        assert list(temporary.glob("cai-*")) == []
        assert MARK not in listed()
        return took

    limit = three_seconds()
    assert soonest(limit, attempt) < limit


@pytest.mark.parametrize("early", [True, False], ids=["before-the-module", "in-the-module"])
def test_the_workers_of_a_killed_ansible_end_with_the_run(sandbox, early):
    """They live on by themselves: one may be about to start a module, as root."""
    temporary = sandbox.home / "tmp"
    temporary.mkdir()
    sandbox.tasks("- name: Take a while\n  pretend: {sleep: " + MARK + "}\n")
    with sandbox.start(TMPDIR=str(temporary)) as run:
        assert "Begin" in run.stdout.readline()
        if early:
            wait_for(lambda: len(processes.descendants(run.pid)) > 1, "the first worker", pause=0.005)
        else:
            wait_for(lambda: MARK in listed(), "the module to be at work")
        os.kill(processes.descendants(run.pid)[0], signal.SIGKILL)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 1, errors
    assert "Ansible was killed" in errors
    assert str(sandbox.content) not in listed()
    assert MARK not in listed()
    assert list(temporary.iterdir()) == []
