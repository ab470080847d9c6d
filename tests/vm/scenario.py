"""A real Lima VM: set up by playbooks/macos.yml, used, restarted, broken in several ways, repaired, and removed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hosts import paths
from tests.hosts.shell import HostError, say

from .user import User, ansible_playbook

NAME = "containai-secure"
CONTEXT = ("docker", "--context", NAME)
# A root file system of one program, of this machine: it is of the guest's architecture.
ROOTFS = (
    "tar --no-recursion -C / -chf - proc sys dev etc tmp run bin/cat $(ldd /bin/cat | grep -o '/[^ )]*') 2>/dev/null"
)


@dataclass(frozen=True)
class Run:
    """How an ansible-playbook run went."""

    code: int
    changed: int
    output: str


class Scenario:
    """One user, one VM."""

    def __init__(self, user: User, limactl: Path, settings: dict[str, Any]) -> None:
        self.user, self.limactl = user, limactl
        self.folder = user.home / ".lima" / NAME
        self.socket = self.folder / "sock" / "docker.sock"
        self.settings = user.home / "settings.json"
        self.settings.write_text(json.dumps({"lima_vm_limactl": str(limactl), **settings}))
        self.settings.chmod(0o644)
        self.playbook_command = ansible_playbook(user)

    def playbook(self, name: str, *words: str, expect: int = 0) -> Run:
        """Run a playbook, show its output, and check how it ends."""
        command = [
            *self.playbook_command,
            paths.ROOT / "playbooks" / f"{name}.yml",
            "-v",
            "-e",
            f"@{self.settings}",
            *words,
        ]
        environment = [f"ANSIBLE_CONFIG={paths.ROOT / 'ansible.cfg'}"]
        kept = []
        with subprocess.Popen(
            self.user.command(["env", *environment, *map(str, command)]), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                print(f"    {line}", end="", flush=True)
                kept.append(line)
        output = "".join(kept)
        if process.returncode != expect:
            raise HostError(f"playbooks/{name}.yml {' '.join(words)} ended with {process.returncode}, not {expect}")
        return Run(process.returncode, sum(map(int, re.findall(r"changed=(\d+)", output))), output)

    def lima(self, *words: str, timeout: float = 900) -> str:
        say(f"    $ limactl {' '.join(words)}")
        done = self.user.run([self.limactl, *words], timeout=timeout)
        say("    " + (done.stdout + done.stderr).strip().replace("\n", "\n    "))
        check(done.returncode == 0, f"limactl {words[0]} exited {done.returncode}")
        return done.stdout

    def status(self) -> str:
        return next((json.loads(line)["status"] for line in self.lima("list", "--format", "json").splitlines()), "none")

    def docker(self, *words: str, stdin: bytes = b"") -> str:
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
        inside = self.docker(
            "run", "--rm", "--network", "none", "--runtime", "sysbox-runc", "scenario", "/bin/cat", "/proc/self/uid_map"
        ).split()
        outside = self.docker("run", "--rm", "--network", "none", "scenario", "/bin/cat", "/proc/self/uid_map").split()
        say(f"    uid_map under sysbox-runc: {inside}, under runc: {outside}")
        check(
            outside == ["0", "0", "4294967295"] and inside != outside,
            "the Sysbox container has a user namespace of its own",
        )

    def processes(self) -> list[int]:
        return [int(path.read_text()) for path in self.folder.glob("*.pid")]


def check(condition: bool, what: str) -> None:
    """Stop with `what` was to be shown."""
    if not condition:
        raise HostError(f"not shown: {what}")


def desktop_home(home: Path, owner: str) -> None:
    """A home in which Docker Desktop is in use."""
    name = "desktop-linux"
    meta = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoint = {
        "Name": name,
        "Metadata": {"Description": "Docker Desktop"},
        "Endpoints": {"docker": {"Host": f"unix://{home}/.docker/run/docker.sock"}},
    }
    (meta / "meta.json").write_text(json.dumps(endpoint))
    (home / ".docker/config.json").write_text(
        '{\n\t"auths": {},\n\t"credsStore": "desktop",\n\t"currentContext": "desktop-linux"\n}'
    )
    (home / ".docker/daemon.json").write_text('{"builder":{"gc":{"enabled":true}}}')
    subprocess.run(["chown", "-R", owner, str(home / ".docker")], check=True)


def desktop_state(home: Path) -> dict[str, str]:
    """Everything of Docker's in the home but our context, byte for byte, with mode and time."""
    ours = hashlib.sha256(NAME.encode()).hexdigest()
    files = [path for path in sorted((home / ".docker").rglob("*")) if path.is_file() and ours not in str(path)]
    return {
        str(path): f"{path.stat().st_mode:o} {path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    }


@contextmanager
def step(title: str) -> Iterator[None]:
    start = time.monotonic()
    say(f"\n=== {title}")
    yield
    say(f"=== done in {time.monotonic() - start:.0f} s")


def steps(scene: Scenario) -> None:
    """The whole story, in order."""
    home = scene.user.home
    desktop_home(home, scene.user.name)
    before = desktop_state(home)
    with step("the dry run on a machine without a VM tells everything and makes nothing"):
        plan = scene.playbook("macos", "--check", "--diff")
        check(
            all(word in plan.output for word in ("Sysbox", "docker.service in the VM", "minimumLimaVersion")),
            "the plan holds the VM and its inside",
        )
        check(not (home / ".lima").exists(), "no LIMA_HOME was made")
    with step("the first run creates the VM; the socket works on the first boot"):
        check(scene.playbook("macos").changed > 0, "something changed")
        scene.use()
    with step("the second run changes nothing"):
        _unchanged(scene)
    with step("limactl stop and start, without cai"):
        scene.lima("stop", NAME)
        scene.lima("start", "--tty=false", "--timeout", "20m", NAME, timeout=1300)
        scene.use()
    with step("drift: edited cpus and a stopped VM"):
        scene.lima("stop", NAME)
        _edit(scene.folder / "lima.yaml", "cpus: 2", "cpus: 1")
        _repaired(scene)
        check("cpus: 2" in (scene.folder / "lima.yaml").read_text(), "the edit is undone")
    with step("drift: a killed host agent"):
        os.kill(int((scene.folder / "ha.pid").read_text()), signal.SIGKILL)
        _repaired(scene)
    with step("drift: a removed socket"):
        scene.socket.unlink()
        _repaired(scene)
    with step("the dry run looks into the running VM"):
        check(scene.playbook("macos", "--check", "--diff").changed == 0, "nothing would change")
    with step("the health report"):
        check("forwarded socket" in scene.playbook("doctor-macos").output, "the report holds the socket")
    with step("uninstall stops the VM and keeps it; purge deletes it"):
        scene.playbook("uninstall-macos")
        check(scene.status() == "Stopped", "the VM is kept")
        scene.playbook("uninstall-macos", "-e", "cai_purge=true")
        check(not scene.folder.exists(), "the VM is gone")
    check(desktop_state(home) == before, "Docker Desktop's files are as they were")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    check(old in text, f"{path} holds {old!r}")
    path.write_text(text.replace(old, new))


def _unchanged(scene: Scenario) -> None:
    agent, written = (scene.folder / "ha.pid").read_text(), (scene.folder / "lima.yaml").stat().st_mtime_ns
    check(scene.playbook("macos").changed == 0, "changed=0")
    check((scene.folder / "ha.pid").read_text() == agent, "the VM was not restarted")
    check((scene.folder / "lima.yaml").stat().st_mtime_ns == written, "lima.yaml was not written")


def _repaired(scene: Scenario) -> None:
    run = scene.playbook("macos")  # ends with a Sysbox container, run from here
    check(run.changed > 0, "the run repaired something")
    check("sysbox-runc" in scene.docker("info"), "the engine answers")


def ended(scene: Scenario, delete: Callable[[], Any]) -> None:
    """Leave no VM behind, whatever happened."""
    delete()
    for pid in scene.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
