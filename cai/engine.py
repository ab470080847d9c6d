"""The secure engine as a user of this machine reaches it: its docker CLI, its context, its socket. Needs no Ansible."""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cai import paths
from cai.errors import CaiError, Exit

CONTEXT = "containai-secure"
SOCKET = "/var/run/docker-containai.sock"
# These would lead docker to another engine.
_LEADING = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# docker's package puts its CLI aside where Docker Desktop has the name.
_PROGRAMS = ("docker", "docker.containai")
_ABSENT, _STOPPED, _FORBIDDEN, _RUNS = "absent", "stopped", "forbidden", "runs"


@dataclass(frozen=True)
class Engine:
    """Where the engine is, and whether it answers: absent, stopped, forbidden or runs."""

    context: str
    socket: str
    chosen: tuple[str, ...]  # the options with which docker finds it
    state: str
    group: str = ""  # that would open the socket: the user is in it, but not yet this login
    vm: bool = False


def find() -> Engine:
    """Look for the engine; asks it nothing."""
    name = context_name()
    endpoint = _endpoint(name)
    path = (endpoint or f"unix://{SOCKET}").removeprefix("unix://")
    chosen = ("--context", name) if endpoint else ("--host", f"unix://{SOCKET}")
    state = _state(path)
    if endpoint and state == _ABSENT:
        state = _STOPPED  # somebody set it up
    group = _group_to_come(path) if state == _FORBIDDEN else ""
    return Engine(name, path, chosen, state, group, vm=sys.platform == "darwin")


def context_name() -> str:
    """Name the context: the settings file may give it another name; on macOS it is the VM's."""
    file = paths.config_file()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return CONTEXT
    key = r"(?:docker_context|lima_vm)_name" if sys.platform == "darwin" else "docker_context_name"
    found = re.search(rf"""^{key}:\s*["']?([A-Za-z0-9][\w.+-]*)""", text, re.MULTILINE)
    return found[1] if found else CONTEXT


def _endpoint(name: str) -> str:
    """Read a context's endpoint from where docker keeps it; empty where there is none."""
    top = Path(os.environ.get("DOCKER_CONFIG") or paths.home() / ".docker")
    file = top / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        host = json.loads(file.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"]
        return host if isinstance(host, str) and host.startswith("unix:///") else ""
    return ""


def _state(path: str) -> str:
    """Tell by connecting to the socket; nothing is asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return _FORBIDDEN
            return _ABSENT if error.errno in (errno.ENOENT, errno.ENOTDIR) else _STOPPED
    return _RUNS


def _group_to_come(path: str) -> str:
    """Name the socket's group if the user is in it by now, and this login does not know; empty otherwise."""
    with contextlib.suppress(OSError, KeyError):
        group = grp.getgrgid(Path(path).stat().st_gid)
        user = pwd.getpwuid(os.geteuid())
        member = user.pw_name in group.gr_mem or user.pw_gid == group.gr_gid
        if member and group.gr_gid not in os.getgroups() and shutil.which("sg"):
            return group.gr_name
    return ""


def program() -> str:
    """Find the docker CLI."""
    for name in _PROGRAMS:
        path = shutil.which(name)
        if path:
            return path
    get = "brew install docker" if sys.platform == "darwin" else "sudo apt-get install docker-cli"
    raise CaiError("There is no docker CLI.", hint=f"run `{get}`, or start Docker Desktop", code=Exit.PRECONDITION)


def environment() -> dict[str, str]:
    """Give docker this environment, without what would lead it to another engine."""
    return {name: value for name, value in os.environ.items() if name not in _LEADING}


def command(engine: Engine, words: list[str]) -> list[str]:
    """Spell a docker command for the engine; where this login lacks the group, below `sg`, which has it."""
    argv = [program(), *engine.chosen, *words]
    return ["sg", engine.group, "-c", f"exec {shlex.join(argv)}"] if engine.group else argv


def usable() -> Engine:
    """Find the engine, or say what is missing and what to type."""
    engine = find()
    if engine.state == _RUNS or engine.group:
        return engine
    if engine.state == _FORBIDDEN:
        user = pwd.getpwuid(os.geteuid()).pw_name
        raise CaiError(
            f"{user} may not open {engine.socket}.",
            hint=f"run `sudo usermod -aG containai {user}` (its members can become root), then log out and in",
            code=Exit.PRECONDITION,
        )
    if engine.state == _STOPPED:
        start = f"limactl start {engine.context}" if engine.vm else "sudo systemctl start containai-docker"
        raise CaiError(
            f"The secure engine does not run: nothing answers on {engine.socket}.",
            hint=f"run `{start}`; if it does not start, `cai doctor` says why",
            code=Exit.PRECONDITION,
        )
    where = "in a small VM" if engine.vm else "beside the Docker that is there"
    raise CaiError(
        "There is no secure engine on this machine yet.",
        hint=f"run `cai setup`, which installs Docker with Sysbox {where}; `cai setup --dry-run` shows all of it first",
        code=Exit.PRECONDITION,
    )


def become(argv: list[str]) -> NoReturn:
    """Become a program: its terminal, its signals and its exit code are then its own."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and an exec would hand that on
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment())  # noqa: S606 - a list, no shell
