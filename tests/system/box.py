"""A test host with the real `cai` in it, and the ways to use it: as its developer, below its PID 1."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import yaml

from tests.hosts import engine, host
from tests.system import snapshot

VENV = "/home/dev/venv"
SOCKET = "/var/run/docker-containai.sock"
CONFIG = "/home/dev/.config/containai/config.yml"
PASSWORD = "Zw1tscher-maschine%7"  # long enough to be found wherever it should not be
IMAGE = "cai-test-image:1"
LIMIT = 600  # of a busy machine
# A service of systemd is a child of PID 1, as everything in a login is; `docker exec` alone is not.
SERVICE = (
    "systemd-run",
    "--quiet",
    "--wait",
    "--collect",
    f"--property=RuntimeMaxSec={LIMIT}",
    "--working-directory=/",
    f"--setenv=PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
)


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """All it said."""
        return f"{self.out}\n{self.err}".strip()

    @property
    def document(self) -> dict[str, Any]:
        """The document of --json."""
        return dict(json.loads(self.out))

    def expect(self, code: int = 0, *words: str) -> Done:
        """Check its exit code and that it said the words; and that nobody would be ashamed of the rest."""
        assert self.code == code, f"exit {self.code}, not {code}:\n{self.text}"
        for word in words:
            assert word in self.text, f"no {word!r} in:\n{self.text}"
        for shame in ("Traceback", "non-zero return code", "MODULE FAILURE", "mistake in cai"):
            assert shame not in self.text, self.text
        return self


class Box:
    """One host."""

    def __init__(self, name: str) -> None:
        self.name = name

    # --- as root, by the back door ---

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """Run a command as root; it must succeed."""
        return host.execute(self.name, *argv, stdin=stdin).stdout

    def sh(self, line: str, *, check: bool = True) -> str:
        """Run a shell line as root; returns what it said."""
        return host.execute(self.name, "timeout", str(LIMIT), "sh", "-c", line, check=check).stdout.strip()

    def ok(self, line: str) -> bool:
        """Whether a shell line succeeds as root."""
        return host.execute(self.name, "sh", "-c", line, check=False).returncode == 0

    def write(self, path: str, data: bytes | str, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> None:
        """Put a file there; its folder is made by the host."""
        content = data.encode() if isinstance(data, str) else data
        self.sh(f"mkdir -p {Path(path).parent}")
        entry = tarfile.TarInfo(Path(path).name)
        entry.size, entry.mode, (entry.uid, entry.gid), entry.mtime = len(content), mode, owner, int(time.time())
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(entry, io.BytesIO(content))
        address = engine.docker_host()
        command = [
            "docker",
            *(["-H", address] if address else []),
            "cp",
            "-",
            f"{host.container(self.name)}:{Path(path).parent}",
        ]
        subprocess.run(command, input=buffer.getvalue(), check=True, capture_output=True)

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        return bytes.fromhex(self.sh(f"od -An -v -tx1 {path} | tr -d ' \\n'"))

    def snapshot(self, *, times: bool = False, ignore: tuple[str, ...] = snapshot.LOGS) -> dict[str, str]:
        """What the file system holds."""
        return snapshot.take(self.run, times=times, ignore=ignore)

    # --- as a person ---

    def user(self, *argv: str, user: str = "dev", options: tuple[str, ...] = ()) -> Done:
        """Run a command as that user's new login would."""
        start = time.monotonic()
        done = host.execute(self.name, *SERVICE, f"--uid={user}", "--pipe", *options, *argv, check=False)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def shell(self, line: str, user: str = "dev") -> Done:
        """Type a line."""
        return self.user("bash", "-c", line, user=user)

    def cai(self, *arguments: str, user: str = "dev", options: tuple[str, ...] = ()) -> Done:
        """Run cai as a user."""
        return self.user(f"{VENV}/bin/cai", *arguments, user=user, options=options)

    def setup(self, *arguments: str) -> Done:
        """`cai setup`; it must succeed."""
        return self.cai("setup", *arguments).expect(0)

    def converged(self) -> dict[str, Any]:
        """Run setup once more: it must find nothing to change. Returns its document."""
        found = self.cai("setup", "--json").expect(0).document
        assert found["changed"] == 0, [step["name"] for step in found["steps"] if step["status"] == "changed"]
        assert found["actions"] == []
        return found

    def health(self) -> dict[str, dict[str, str]]:
        """`cai doctor` by part."""
        done = self.cai("doctor", "--json")
        assert done.code in (0, 1), done.text
        found = {finding["part"]: finding for finding in done.document["findings"]}
        assert (done.code == 1) == any(finding["status"] == "fail" for finding in found.values()), done.text
        return found

    def person(self, *arguments: str, user: str = "dev", size: tuple[int, int] = (40, 100)) -> Any:
        """Run cai on a terminal of its own."""
        return self.terminal(f"{VENV}/bin/cai", *arguments, user=user, size=size)

    def terminal(self, *argv: str, user: str = "dev", size: tuple[int, int] = (40, 100)) -> Any:
        """Run a command on a terminal of its own."""
        address = engine.docker_host()
        words = [*(["-H", address] if address else []), "exec", "-it", host.container(self.name), *SERVICE]
        words += [
            f"--uid={user}",
            "--pty",
            "--setenv=TERM=xterm-256color",
            "--setenv=NO_COLOR=1",
            *argv,
        ]
        return pexpect.spawn("docker", words, encoding="utf-8", timeout=LIMIT, dimensions=size)

    def docker(self, line: str) -> Done:
        """`docker` of the developer, through our context."""
        return self.shell(f"docker --context containai-secure {line}")

    def active_context(self) -> str:
        """The docker context that is in use (Docker 20.10 has no `docker context show`)."""
        return self.shell("docker context ls --format '{{if .Current}}{{.Name}}{{end}}'").expect(0).out.strip()

    def start_sysbox_container(self, name: str) -> None:
        """Have a Sysbox container run."""
        self.docker("load -q -i /opt/images/user-image.tar").expect(0)
        self.docker(f"run -d --name {name} --network none --runtime sysbox-runc {IMAGE} sleep 1000").expect(0)

    # --- what it is set up with ---

    def settings(self, **more: Any) -> None:
        """Write the settings file."""
        chosen = {"docker_engine_source": "distro", **more}
        self.write(CONFIG, yaml.safe_dump(chosen))
        self.sh("chown -R dev: /home/dev/.config")

    def trust_dev(self) -> None:
        """Let dev use sudo without a password, for the tests that are not about it."""
        self.write("/etc/sudoers.d/test", "dev ALL=(ALL) NOPASSWD: ALL\n", 0o440)

    def purge_sysbox(self) -> None:
        """Have apt purge the package: its scripts reach the host's daemon.json, as they would anywhere."""
        self.sh(
            "systemctl stop containai-docker sysbox; DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y sysbox-ce",
            check=False,
        )

    def isolated(self) -> bool:
        """Whether a container under sysbox-runc has a map of its own."""
        self.docker("load -q -i /opt/images/user-image.tar").expect(0)
        shown = (
            self.docker(f"run --rm --network none --runtime sysbox-runc {IMAGE} cat /proc/self/uid_map")
            .expect(0)
            .out.split()
        )
        return shown[-3:] != ["0", "0", "4294967295"]


def width(text: str) -> int:
    """Columns on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def command_in(hint: str) -> str:
    """The command that a hint tells to type."""
    found = re.search(r"`([^`]+)`", hint)
    assert found, f"no command in the hint {hint!r}"
    return found[1]


def quoted(**values: Any) -> list[str]:
    """-e options."""
    return [
        word
        for key, value in values.items()
        for word in ("-e", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    ]


def spelled(argv: list[str]) -> str:
    """An argument list as a shell line."""
    return shlex.join(argv)
