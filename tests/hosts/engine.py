"""The Docker engine that runs the test hosts: the one that answers, else a private dockerd that leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from . import network, paths
from .shell import HostError, apt_install, run, say, wait_for

_STATE = paths.STATE / "engine.json"
# The engine outlives the function that started it, and may outlive this process: Python would warn of an object that is gone.
_holders: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Private:
    """What was started, so that exactly that can be ended."""

    pid: int
    started: str
    socket: str
    cgroup: str
    made: list[str]
    network: dict[str, str]


def _start_time(pid: int) -> str:
    """The kernel's start time of a process: with the pid it names one process for ever."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _answers(host: str | None) -> bool:
    words = ["docker", *(["-H", host] if host else []), "version", "--format", "{{.Server.Version}}"]
    return shutil.which("docker") is not None and run(words, check=False, timeout=20).returncode == 0


def private() -> Private | None:
    """The private engine, if it runs."""
    try:
        state = Private(**json.loads(_STATE.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return state if _start_time(state.pid) == state.started else None


def docker_host() -> str | None:
    """What to give to `docker -H`; None is the default engine of this machine."""
    state = private()
    return f"unix://{state.socket}" if state else None


def docker(*words: str | Path, check: bool = True, stdin: str | None = None, timeout: float | None = 600) -> str:
    """Run the docker CLI against the engine; returns its standard output."""
    host = docker_host()
    return run(
        ["docker", *(["-H", host] if host else []), *words], check=check, stdin=stdin, timeout=timeout
    ).stdout.strip()


def up() -> str | None:
    """Make sure that an engine answers; returns its address (None: the default one)."""
    state = private()
    if state:
        return f"unix://{state.socket}"
    if _answers(None):
        return None
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "engine.lock").open("w") as lock:  # several test processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        return f"unix://{(private() or _start()).socket}"


def _start() -> Private:
    if os.geteuid() != 0:
        raise HostError(
            "no Docker engine answers, and only root can start a private one\n hint: start Docker, or run this as root"
        )
    needed = {"dockerd": "docker.io", "nft": "nftables", "ip": "iproute2", "nsenter": "util-linux"}
    missing = [package for program, package in needed.items() if not shutil.which(program)]
    if missing:
        apt_install(*missing)
    down()
    run_dir, cgroup = paths.run_dir(), f"/cai-hosts-{paths.tag()}"
    data = paths.CACHE / "engine"
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    (run_dir / "connected").unlink(missing_ok=True)
    made = [folder for folder in ("/run/containerd", "/run/docker") if not Path(folder).exists()]
    namespaces = [
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    holder = subprocess.Popen(
        [*namespaces, "sh", str(paths.FILES / "engine.sh"), str(run_dir), str(data), cgroup],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
    )  # fmt: skip
    _holders.append(holder)
    planned = network.plan()
    state = Private(holder.pid, _start_time(holder.pid), str(run_dir / "docker.sock"), cgroup, made, planned)
    _STATE.parent.mkdir(parents=True, exist_ok=True)
    _STATE.write_text(json.dumps(asdict(state)))
    try:
        network.up(_only_child(holder.pid), planned)
    except HostError:
        down()
        raise
    (run_dir / "connected").write_text(planned["mtu"])
    took = wait_for(lambda: holder.poll() is not None or _answers(f"unix://{state.socket}"), "dockerd", 60)
    if holder.poll() is not None:
        log = (run_dir / "dockerd.log").read_text().splitlines()[-15:]
        down()
        raise HostError("the private dockerd ended:\n" + "\n".join(log))
    say(f"private Docker engine on {state.socket} ({took:.1f} s)")
    return state


def _only_child(pid: int) -> int:
    """The first process inside the new namespaces (unshare itself stays outside)."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(lambda: children.exists() and bool(children.read_text().split()), "the engine's namespaces", 10, 0.02)
    return int(children.read_text().split()[0])


def down() -> None:
    """End the private engine, its containers and every trace of it outside the cache; no engine is no error."""
    try:
        state = Private(**json.loads(_STATE.read_text()))
    except (OSError, ValueError, TypeError):
        return
    if _start_time(state.pid) == state.started:
        ours = docker("ps", "-aq", check=False).split()
        if ours:
            docker("rm", "-fv", *ours, check=False)
        inner = _only_child(state.pid)
        os.kill(inner, signal.SIGTERM)
        try:
            wait_for(lambda: _start_time(state.pid) != state.started, "dockerd to end", 20)
        except HostError:
            os.kill(state.pid, signal.SIGKILL)
            wait_for(lambda: _start_time(state.pid) != state.started, "the engine's namespaces to end", 20)
    network.down(state.network)
    # The cgroups of the containers outlive the mount that showed them.
    sweep = f"mount -t cgroup2 c /mnt && find /mnt{state.cgroup} -depth -type d -exec rmdir {{}} \\; 2>/dev/null; true"
    run(["unshare", "--mount", "--propagation", "private", "sh", "-c", sweep], check=False)
    for folder in state.made:
        try:
            Path(folder).rmdir()
        except OSError:
            continue
    shutil.rmtree(paths.run_dir(), ignore_errors=True)
    _STATE.unlink(missing_ok=True)
