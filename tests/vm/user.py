"""The ordinary user of the scenario, whom limactl asks for: made when the tests run as root, and taken back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts import paths
from tests.hosts.shell import HostError, run, say

NAME = "caivm"


@dataclass(frozen=True)
class User:
    """Runs programs with a home of their own; the folder's name is short, for the sockets in it."""

    name: str
    home: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command as this user, in an environment of its own."""
        settings = {
            "HOME": str(self.home),
            "USER": self.name,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **self.env,
        }
        words = ["env", "-i", *(f"{key}={value}" for key, value in settings.items()), *map(str, argv)]
        return ["runuser", "-u", self.name, "--", *words] if os.geteuid() == 0 else words

    def run(
        self, argv: Sequence[str | Path], timeout: float = 120, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run it and keep its output."""
        done = subprocess.run(
            self.command(argv), input=stdin, capture_output=True, check=False, timeout=timeout, cwd="/"
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The only scenario of this checkout. The kernel lets go of the lock when its owner dies, however he does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "owner").open("a+") as owner:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner.seek(0)
            raise HostError(f"another run has the VM of this checkout (process {owner.read().strip()})") from None
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        yield


@contextlib.contextmanager
def temporary(temp: Path = Path("/tmp")) -> Iterator[User]:
    """The user; gone at the end, with everything of his. What a run that was killed has left goes first."""
    made = os.geteuid() == 0
    name = f"{NAME}{paths.tag()}" if made else pwd.getpwuid(os.getuid()).pw_name
    prefix = f"{NAME}{paths.tag()}-"
    with alone(paths.CACHE / "vm"):
        for left in temp.glob(f"{prefix}*"):
            say(f"taking away what a killed run has left: {left}")
            _forget(name if made else "", left)
        home = Path(tempfile.mkdtemp(prefix=prefix, dir=temp))
        try:
            if made:
                _leave(name)
                run(["useradd", "--home-dir", home, "--no-create-home", "--shell", "/bin/bash", name])
                run(["chown", name, home])
            yield User(name, home)
        finally:
            _forget(name if made else "", home)


def _forget(name: str, home: Path) -> None:
    """Take the made user away ("" where there is none) and his home; whatever runs of his is ended first."""
    for path in home.glob(".lima/*/*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text())
            if str(home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
    if name:
        _leave(name)
    shutil.rmtree(home, ignore_errors=True)


def _known(name: str) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return True
    return False


def _leave(name: str) -> None:
    """Take the user away; his last processes (Ansible's ssh masters) are ended first, or userdel refuses."""
    for _ in range(20):
        if not _known(name):
            return
        for pid in run(["ps", "-o", "pid=", "-u", name], check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if run(["userdel", name], check=False).returncode == 0:
            return
        time.sleep(0.5)
    say(f"the user {name} could not be removed: run `userdel {name}`")
