"""One user with one Lima VM, and what the story does with them; each way of using them checks how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.hosts.shell import HostError, say

from .user import User

NAME = "containai-secure"
CONTEXT = ("docker", "--context", NAME)
# A root file system of two programs, of this machine: they are of the guest's architecture.
ROOTFS = "tar --no-recursion -C / -chf - proc sys dev etc tmp run bin/cat bin/bash $(ldd /bin/cat /bin/bash | grep -o '/[^ )]*' | sort -u) 2>/dev/null"
# How Lima's guests reach the machine's loopback.
MACHINE = "192.168.5.2"


def check(condition: bool, what: str) -> None:
    """Stop with `what` was to be shown."""
    if not condition:
        raise HostError(f"not shown: {what}")


class Scenario:
    """The user, his settings file, the installed `cai`, and the VM."""

    def __init__(self, user: User, python: Path, settings: dict[str, Any]) -> None:
        self.user, self.python = user, python
        self.folder = user.home / ".lima" / NAME
        self.socket = self.folder / "sock" / "docker.sock"
        self.settings = user.home / ".config/containai/config.yml"
        self.as_macos = user.home / "as_macos.py"
        for path, text in (
            (self.settings, json.dumps(settings, indent=1)),
            (self.as_macos, Path(__file__).with_name("as_macos.py").read_text()),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.content = Path(user.run([python, "-m", "cai", "path"]).stdout.strip())
        check((self.content / "playbooks").is_dir(), "`cai path` names the playbooks")

    def cai(
        self,
        *words: str,
        expect: int = 0,
        environment: Mapping[str, str] = MappingProxyType({}),
        around: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Run the command with its progress in the log; returns its document. `around`: what runs it."""
        say(f"    $ cai {' '.join(words)}")
        command: list[str | Path] = [self.python, self.as_macos, *words, "--json", "--verbose"]
        with (self.user.home / "document.json").open("w+") as document:
            code, _ = self._show(command, environment, around, stdout=document, stderr=subprocess.PIPE)
            document.seek(0)
            text = document.read()
        check(code == expect, f"`cai {' '.join(words)}` exited {code}, not {expect}")
        result: dict[str, Any] = json.loads(text)
        return result

    def ansible(self, playbook: str, *words: str, reaching: str = "localhost") -> int:
        """Run a playbook as an ops team does, on this machine and where it says; returns how much it changed."""
        words = (f"playbooks/{playbook}.yml", "-v", "-e", f"@{self.settings}", *words)
        say(f"    $ ansible-playbook {' '.join(words)}")
        command: list[str | Path] = [self.python, "-m", "ansible", "playbook", *words]
        environment = {"ANSIBLE_CONFIG": str(self.content / "ansible.cfg")}
        code, text = self._show(command, environment, (), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(code == 0, f"playbooks/{playbook}.yml ended with {code}")
        check(re.search(rf"^{reaching} +: ok=", text, re.MULTILINE) is not None, f"it reached {reaching}")
        return sum(map(int, re.findall(r"changed=(\d+)", text)))

    def _show(
        self, command: Sequence[str | Path], environment: Mapping[str, str], around: Sequence[str], **pipes: Any
    ) -> tuple[int, str]:
        """Run a program and print its piped output as it comes; returns its exit code and that output."""
        settings = [f"{key}={value}" for key, value in environment.items()]
        words = [*around, *self.user.command(["env", *settings, *command])]
        kept = []
        with subprocess.Popen(
            words, cwd=self.content, stdin=subprocess.DEVNULL, text=True, errors="replace", **pipes
        ) as process:
            try:
                for line in process.stderr or process.stdout or ():
                    print(f"    {line}", end="", flush=True)
                    kept.append(line)
            except BaseException:  # a cancelled run does not wait for it
                process.terminate()
                raise
        return process.returncode, "".join(kept)

    def type(self, line: str, timeout: float = 1500) -> str:
        """What a user types into his shell, such as a hint of ours."""
        say(f"    $ {line}")
        done = self.user.run(["sh", "-c", line], timeout=timeout)
        say("    " + (done.stdout + done.stderr).strip().replace("\n", "\n    "))
        check(done.returncode == 0, f"`{line}` exited {done.returncode}")
        return done.stdout

    def status(self) -> str:
        """What limactl says of the VM."""
        lines = self.type("limactl list --format json").splitlines()
        return next((json.loads(line)["status"] for line in lines if json.loads(line)["name"] == NAME), "none")

    def docker(self, *words: str, stdin: bytes = b"") -> str:
        """The docker CLI with our context."""
        done = self.user.run([*CONTEXT, *words], timeout=180, stdin=stdin)
        check(done.returncode == 0, f"docker {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def use(self) -> None:
        """A user's own way to a Sysbox container: docker CLI, context, forwarded socket. Shows what its kernel view is."""
        info = json.loads(self.docker("info", "--format", "{{json .}}"))
        check("sysbox-runc" in info["Runtimes"], "sysbox-runc is a runtime")
        check(info["DefaultRuntime"] == "runc", "runc is the default runtime")
        rootfs = subprocess.run(["sh", "-c", ROOTFS], capture_output=True, check=False).stdout
        self.docker("import", "-", "scenario", stdin=rootfs)
        command = ("scenario", "/bin/cat", "/proc/self/uid_map")
        inside = self.docker("run", "--rm", "--network", "none", "--runtime", "sysbox-runc", *command).split()
        outside = self.docker("run", "--rm", "--network", "none", *command).split()
        say(f"    uid_map under sysbox-runc: {inside}, under runc: {outside}")
        own = outside == ["0", "0", "4294967295"] and len(inside) == 3 and inside != outside
        check(own, "the Sysbox container has a user namespace of its own")

    def choose(self, **settings: Any) -> None:
        """Add settings to the user's file."""
        self.settings.write_text(json.dumps({**json.loads(self.settings.read_text()), **settings}, indent=1))

    def reaches_this_machine(self, port: int) -> bool:
        """Whether a container can connect to a port of this machine's loopback."""
        line = f"exec 3<>/dev/tcp/{MACHINE}/{port} && echo connected || echo refused"
        said = self.docker("run", "--rm", "scenario", "/bin/bash", "-c", line).strip()
        say(f"    a container that connects to {MACHINE}:{port}: {said}")
        return {"connected": True, "refused": False}[said]

    def ended(self) -> None:
        """Leave no VM behind, whatever happened."""
        self.user.run(["limactl", "delete", "-f", NAME], timeout=120)
        for path in self.folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)
