import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cai import processes
from tests.hosts.shell import wait_for

# A child, and a grandchild in a session of its own, as Ansible's workers are; both deaf to a polite signal.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "inner"], start_new_session=True)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_everything_below_a_process_ends_even_what_ignores_signals(tmp_path):
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    with subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, {str(script)!r}])"],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        pids = {int(parent.stdout.readline()), int(parent.stdout.readline())}
        assert set(processes.descendants(parent.pid)) == pids
        started = time.monotonic()
        foreign = []
        processes.end_all(parent.pid, foreign.extend, patience=0.3)
        assert time.monotonic() - started < 20  # they would sleep for a minute
        assert foreign == []
        deadline = time.monotonic() + 5
        while processes.descendants(parent.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not pids & {pid for pid, _, _ in processes._table()}


# Starts a process in a new session every few milliseconds, as Ansible does with a worker for each task.
BUSY = """
import subprocess, sys
for _ in range(300):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60.75)"], start_new_session=True)
"""


def test_whatever_could_start_another_process_is_stopped_first():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"]
    ) as parent:
        while len(processes.descendants(parent.pid)) < 2:
            time.sleep(0.01)
        found = processes._frozen(parent.pid)
        states = {pid: state for pid, _, state in processes._table()}
        assert [states[pid] for pid in found] == ["T", "T"]
        processes.end_all(parent.pid, lambda pids: None, patience=0.5)


def test_nothing_escapes_that_starts_at_the_last_moment():
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    for already in (2, 3, 4):
        with subprocess.Popen([sys.executable, "-c", code]) as parent:
            while len(processes.descendants(parent.pid)) < already:
                time.sleep(0.01)
            processes.end_all(parent.pid, lambda pids: None, patience=0.5)
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
        assert "60.75" not in listed


# A step that is asked to end at the moment it starts a process in a session of its own, and ends at once itself.
PARTING = """
import os, signal, subprocess, sys, time
def part(number, frame):
    subprocess.Popen(["sleep", "60.625"], start_new_session=True)
    os._exit(0)
signal.signal(signal.SIGINT, part)
print("ready", flush=True)
time.sleep(60)
"""
# As cai does: it ends what is below itself, and whatever that has left.
ENDING = """
import os, subprocess, sys
from cai import processes
middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sys.argv[1]!r}])"
with subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE) as ansible:
    ansible.stdout.readline()
    processes.end_all(os.getpid(), lambda pids: None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="macOS adopts no orphans: there it is a race")
def test_what_a_step_starts_as_it_ends_does_not_outlive_it():
    for _ in range(5):
        subprocess.run([sys.executable, "-c", ENDING, PARTING], check=True, timeout=60)
        assert processes.naming("60.625") == []


# A step that clears away with a program, as `docker rm` is one.
TIDY = """
import signal, subprocess, sys, time
def tidy(number, frame):
    subprocess.run(["sh", "-c", "sleep 0.2; touch " + {done!r}])
    sys.exit(1)
signal.signal(signal.SIGINT, tidy)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_step_starts_to_clear_away_is_left_to_its_work(tmp_path):
    done = tmp_path / "done"
    subprocess.run(
        [sys.executable, "-c", ENDING.replace("pids: None", "pids: None, patience=20"), TIDY.format(done=str(done))],
        check=True,
        timeout=60,
    )
    assert done.exists()


def test_orphans_are_stopped_before_their_modules_are_counted(monkeypatch):
    sent = []
    monkeypatch.setattr(processes, "naming", lambda text: [7, 8])
    monkeypatch.setattr(processes, "_send", lambda pid, number: sent.append((pid, number)) or True)
    monkeypatch.setattr(processes, "end_all", lambda pid, as_root: sent.append((pid, "below")))
    processes.end_orphans("/tmp/cai-x", lambda pids: None)
    assert sent[:2] == [(7, signal.SIGSTOP), (8, signal.SIGSTOP)]
    assert sent[2:] == [(7, "below"), (7, signal.SIGKILL), (8, "below"), (8, signal.SIGKILL)]


@pytest.mark.parametrize("proc", [True, False], ids=["proc", "ps"])
def test_a_process_is_found_by_its_command_line_but_never_this_one(monkeypatch, proc):
    if not proc:
        real = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path: str(path) != "/proc/self/stat" and real(path))
    mark = "cai-mark-61.875"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark]) as child:
        # A program that is just starting has no command line yet.
        wait_for(lambda: processes.naming(mark) == [child.pid], "the one process with the mark", timeout=20, pause=0.02)
        assert os.getpid() not in processes.naming("py")
        child.kill()


def test_processes_of_others_are_handed_on(monkeypatch):
    def kill(pid, number):
        if pid == 9:
            raise PermissionError

    monkeypatch.setattr(processes, "_table", lambda: [(7, 1, "T"), (8, 7, "T"), (9, 8, "S")])
    monkeypatch.setattr(processes.os, "kill", kill)
    foreign = []
    processes.end_all(7, foreign.extend, patience=0)
    assert set(foreign) == {9}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc to compare with")
def test_ps_and_proc_tell_the_same(monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        from_proc = processes.descendants(os.getpid())
        monkeypatch.setattr(processes, "Path", lambda _name: Path("/absent"))
        from_ps = processes.descendants(os.getpid())
        child.stdin.close()
    assert child.pid in from_proc
    assert child.pid in from_ps
