"""The ordinary user of the scenario, whom limactl asks for: made when the tests run as root, and taken back."""

from __future__ import annotations

import contextlib
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
def temporary() -> Iterator[User]:
    """The user; gone at the end, with everything of his."""
    home = Path(tempfile.mkdtemp(prefix="caivm", dir="/tmp"))
    made = os.geteuid() == 0
    name = f"{NAME}{paths.tag()}" if made else pwd.getpwuid(os.getuid()).pw_name
    try:
        if made:
            with contextlib.suppress(HostError):
                run(["userdel", name])
            run(["useradd", "--home-dir", home, "--no-create-home", "--shell", "/bin/bash", name])
            run(["chown", name, home])
        yield User(name, home)
    finally:
        if made:
            _leave(name)
        shutil.rmtree(home, ignore_errors=True)


def _leave(name: str) -> None:
    """Take the user away; his last processes (Ansible's ssh masters) are ended first, or userdel refuses."""
    for _ in range(20):
        for pid in run(["ps", "-o", "pid=", "-u", name], check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if run(["userdel", name], check=False).returncode == 0:
            return
        time.sleep(0.5)
    say(f"the user {name} could not be removed: run `userdel {name}`")
