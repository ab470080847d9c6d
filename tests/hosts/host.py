"""Test hosts: containers whose PID 1 is systemd, under a wanted kind of seccomp filter and in a wanted dress."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from . import aptsources, engine, paths, setups
from .doubles import user_image
from .shell import HostError, run, say, wait_for

KINDS = ("none", "plain", "listener")
DRESSES = ("wsl2", "linux", "wsl1", "nosystemd", "container")
LABEL = "cai-test-host"
VOLUMES = ("/var/lib/docker", "/var/lib/docker-containai", "/var/lib/containerd", "/var/lib/sysbox")
# The hosts share the machine's kernel: its clock, modules and ports are none of their business.
_WITHOUT = ("SYS_TIME", "SYS_MODULE", "SYS_RAWIO")


@dataclass(frozen=True)
class Wanted:
    """A host as a scenario describes it."""

    name: str
    suite: str = "noble"
    kind: str = "none"
    dress: str = "wsl2"
    setup: str = ""  # names of files/setups, joined with +; "": what such a machine usually is
    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[str, ...] = ()
    image: str = ""  # an image of a host that was prepared; "": the suite's with its setup

    @property
    def setups(self) -> str:
        """The setup, with the default filled in: native Ubuntu is a desktop, everything else is as its distribution installs it."""
        usual = "ubuntu-desktop" if self.dress == "linux" and aptsources.family(self.suite) == "ubuntu" else "plain"
        return self.setup or usual


def container(name: str) -> str:
    """The container's name: the host's, unless that could meet somebody else's."""
    return name if name.startswith("cai-") else f"cai-{name}"


@cache
def _capabilities() -> tuple[str, ...]:
    """What this engine accepts: all capabilities, or all but the one that some machines' bounding set lacks."""
    bounding = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd")).split()[
            1
        ],
        16,
    )
    dropped = _WITHOUT if bounding >> 24 & 1 else (*_WITHOUT, "SYS_RESOURCE")
    return tuple(f"--cap-drop={name}" for name in dropped)


def up(wanted: Wanted) -> float:
    """Start the host and wait until systemd has finished booting; returns the seconds that took."""
    if wanted.kind not in KINDS or wanted.dress not in DRESSES:
        raise HostError(f"kinds: {', '.join(KINDS)}; dresses: {', '.join(DRESSES)}")
    engine.up()
    loaded = wanted.image or setups.ensure(wanted.suite, wanted.setups)
    down(wanted.name)
    words = ["run", "--detach", "--tty", "--name", container(wanted.name), "--hostname", wanted.name, "--label", LABEL]
    words += [
        "--stop-signal=SIGRTMIN+3",
        "--restart=unless-stopped",
        "--cgroupns=private",
        "--cap-add=ALL",
        *_capabilities(),
    ]
    words += [
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
    ]
    words += ["--device-cgroup-rule=a *:* rwm"]
    if Path("/dev/fuse").exists():
        words += ["--device=/dev/fuse"]
    for path in VOLUMES:
        words += ["--volume", path]
    binds = (f"{paths.FILES}:/usr/lib/test-host:ro", f"{user_image.build().parent}:/opt/images:ro")
    for bind in (*binds, *wanted.binds):
        words += ["--volume", bind]
    dressed = {"CAI_DRESS": wanted.dress, "CAI_KIND": wanted.kind, "CAI_SETUP": wanted.setups}
    for key, value in {**dressed, **wanted.env}.items():
        words += ["--env", f"{key}={value}"]
    engine.docker(*words, loaded, "/bin/sh", "/usr/lib/test-host/init.sh")
    took = wait_booted(wanted.name, systemd=wanted.dress != "nosystemd")
    if not wanted.image:
        for script in setups.scripts(wanted.setups, "up.sh"):
            execute(wanted.name, "sh", "-eu", f"/usr/lib/test-host/setups/{script.parent.name}/{script.name}")
    say(
        f"{wanted.name}: {wanted.suite} ({wanted.setups}), dressed as {wanted.dress}, PID 1 seccomp {wanted.kind}: up in {took:.1f} s"
    )
    return took


def wait_booted(name: str, *, systemd: bool = True, timeout: float = 180) -> float:
    """Wait until the host's boot is over; a failed unit does not count as a failed boot."""

    def booted() -> bool:
        if not systemd:
            return execute(name, "true", check=False).returncode == 0
        return execute(name, "systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    try:
        return wait_for(booted, f"{name} to boot", timeout, 0.1)
    except HostError as error:
        log = engine.docker("logs", "--tail", "20", container(name), check=False)
        raise HostError(f"{error}\n{log}") from error


def execute(
    name: str, *command: str, user: str = "root", check: bool = True, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the host (as `docker exec` does: not a child of its PID 1)."""
    address = engine.docker_host()
    words = ["docker", *(["-H", address] if address else []), "exec", *(["-i"] if stdin is not None else [])]
    return run([*words, "--user", user, container(name), *command], check=check, stdin=stdin)


def login(name: str, command: str, user: str = "dev", *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a shell line as that user's own login would."""
    return execute(name, "su", "-", user, "-c", command, check=check)


def interactive(name: str, command: list[str], user: str = "root") -> int:
    """Run a command in the host on this terminal; returns its exit code."""
    address = engine.docker_host()
    words = ["docker", *(["-H", address] if address else []), "exec", "-i", *(["-t"] if sys.stdin.isatty() else [])]
    return subprocess.run([*words, "--user", user, container(name), *command], check=False).returncode


def copy(name: str, source: Path, target: str) -> None:
    """Copy a file or folder into the host."""
    engine.docker("cp", source, f"{container(name)}:{target}")


def reboot(name: str) -> float:
    """`systemctl reboot` inside; returns the seconds until the host has booted again."""
    before = _started(name)
    execute(name, "systemctl", "reboot", check=False)
    took = wait_for(lambda: _started(name) not in ("", before), f"{name} to go down and come back", 180, 0.1)
    return took + wait_booted(name)


def _started(name: str) -> str:
    state = json.loads(engine.docker("inspect", "--format", "{{json .State}}", container(name)) or "{}")
    return str(state.get("StartedAt", "")) if state.get("Running") else ""


def down(name: str) -> None:
    """Remove the host and its volumes; no such host is no error."""
    engine.docker("rm", "--force", "--volumes", container(name), check=False)


def names() -> list[str]:
    """The hosts that exist."""
    return engine.docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}", check=False).split()
