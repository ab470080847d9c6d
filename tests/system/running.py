"""A run of `cai` that has begun, and the ways to end it before its time."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time

from tests.hosts import engine, host
from tests.system.box import SERVICE, VENV, Box

SETUP = (f"{VENV}/bin/cai", "setup", "--verbose")
ENDS = ("ok: [", "changed: [", "fatal: [", "skipping: [")
LIMIT = 600
# Finds who is to die below the unit's main process, and kills it.
REAPER = r"""
import os, signal, subprocess, sys, time
unit, victim = sys.argv[1:]
main = int(subprocess.run(["systemctl", "show", "-p", "MainPID", "--value", unit], capture_output=True, text=True).stdout)
if not main:  # below 0 are PID 1 and this program
    print("it has ended")
    sys.exit(0)
def table():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            words = open(f"/proc/{pid}/cmdline").read().replace("\0", " ")
            found[int(pid)] = (int(fields[1]), words, os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            pass
    return found
def below(processes, pid):
    level = [pid]
    while level:
        level = [child for child, (above, _, _) in processes.items() if above in level]
        yield from level
end = time.time() + 5
while time.time() < end:
    processes = table()
    pids = list(below(processes, main))
    if victim == "cai":
        chosen = [main]
    elif victim == "ansible":
        chosen = [pid for pid in pids if "ansible playbook" in processes[pid][1]][:1]
    elif victim == "sshd":  # the server's end of every connection of the developer
        chosen = [pid for pid, (_, words, _) in processes.items() if words.startswith("sshd: dev")]
    else:  # the module: root's, below sudo
        chosen = [pid for pid in pids if processes[pid][2] == 0 and "python3" in processes[pid][1] and "sudo" not in processes[pid][1] and "sh -c" not in processes[pid][1]][:1]
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        print("killed", pid, processes.get(pid, ("", "?", 0))[1][:100])
    if chosen:
        sys.exit(0)
    time.sleep(0.01)
sys.exit("nobody to kill")
"""
numbers = itertools.count(1)


class Running:
    """A run that has begun; by default `cai setup`."""

    def __init__(self, box: Box, *words: str) -> None:
        self.box, self.unit = box, f"run-{next(numbers)}"
        address = engine.docker_host()
        docker = ["docker", *(["-H", address] if address else []), "exec", host.container(box.name)]
        # KillMode=process: systemd must not tidy up behind a killed process, which nobody does on a terminal.
        unit = [*SERVICE, "--uid=dev", "--pipe", f"--unit={self.unit}", "-p", "KillMode=process"]
        self.process = subprocess.Popen(
            [*docker, *unit, *(words or SETUP)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )  # fmt: skip
        self.lines: list[str] = []
        self.grown = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self.grown:
                self.lines.append(line)
                self.grown.notify_all()
        with self.grown:
            self.grown.notify_all()

    @property
    def said(self) -> str:
        """All it said so far."""
        return "".join(self.lines)

    def until(self, text: str) -> None:
        """Wait for a line with the text."""
        end = time.monotonic() + LIMIT
        with self.grown:
            while not any(text in line for line in self.lines):
                self._patient(end, repr(text))
                self.grown.wait(0.2)

    def _patient(self, end: float, what: str) -> None:
        """Give up when nothing more can come."""
        assert self.reader.is_alive(), f"no {what} in:\n{self.said}"
        assert time.monotonic() < end, f"no {what} within {LIMIT} s in:\n{self.said}"

    def ended(self, task: str) -> bool:
        """Whether the task's result is there."""
        begun = [number for number, line in enumerate(self.lines) if f"{task}] " in line]
        return bool(begun) and any(line.startswith(ENDS) for line in self.lines[begun[-1] :])

    def until_ended(self, task: str) -> None:
        """Wait for the task's result."""
        end = time.monotonic() + LIMIT
        with self.grown:
            while not self.ended(task):
                self._patient(end, f"end of {task!r}")
                self.grown.wait(0.2)

    def kill(self, victim: str) -> str:
        """SIGKILL one of cai, ansible, module, sshd."""
        return self.box.run("python3", "-IS", "-", f"{self.unit}.service", victim, stdin=REAPER).strip()

    def end(self) -> int:
        """Wait for its end; returns the exit code."""
        code = self.process.wait(timeout=LIMIT)
        self.reader.join(10)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def abandon(self) -> None:
        """Give up on it: its host is gone."""
        self.process.kill()
        self.end()
