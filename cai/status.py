"""What `cai status` knows: the engine, its versions and its containers, in the time of two docker calls."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from cai import engine
from cai.arguments import RUNTIME
from cai.errors import CaiError, Exit

SECONDS = 20


@dataclass
class Container:
    """A running container."""

    name: str
    image: str
    runtime: str
    status: str

    @property
    def isolated(self) -> bool:
        """Whether it runs under Sysbox."""
        return self.runtime == RUNTIME


@dataclass
class Status:
    """The state of everything, now."""

    platform: str
    engine: engine.Engine
    state: str  # that of the engine: runs, stopped, forbidden, absent, silent
    docker: str = ""
    sysbox: str = ""
    vm: str = ""
    containers: list[Container] = field(default_factory=list)
    advisories: list[str] = field(default_factory=list)
    errors: list[CaiError] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        """0 only when the engine was seen to run."""
        if self.state == "runs":
            return Exit.OK
        return Exit.FAILED if self.state == "silent" else Exit.PRECONDITION

    @property
    def plain(self) -> list[Container]:
        """The running containers that are not under Sysbox."""
        return [container for container in self.containers if not container.isolated]


def look(platform: str) -> Status:
    """Ask docker, sysbox-runc and (on macOS) limactl, side by side."""
    found = engine.find()
    status = Status(platform, found, "runs" if found.group else found.state)
    jobs: list[Callable[[], None]] = [lambda: _versions(status)]
    if status.state == "runs":
        jobs.append(lambda: _containers(status))
    if found.vm:
        jobs.append(lambda: _vm(status))
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    if status.state == "runs":
        _engine(status)
    for thread in threads:
        thread.join()
    try:
        engine.usable()
    except CaiError as error:
        status.errors.append(error)
    return status


def _say(argv: list[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, env=engine.environment(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, "", str(error)
    return done.returncode, done.stdout, done.stderr


def _docker(status: Status, *words: str) -> tuple[int, str, str]:
    return _say(engine.command(status.engine, list(words)))


def _engine(status: Status) -> None:
    """Ask for the engine's version, which shows that it answers."""
    code, said, problem = _docker(status, "version", "--format", "{{.Server.Version}}")
    status.docker = said.strip() if code == 0 else ""
    if not status.docker:
        status.state = "silent"
        told = problem.strip().splitlines()[-1:] or ["it gave no answer"]
        status.errors.append(
            CaiError(f"The engine does not answer: {told[0]}", hint="run `cai doctor`", code=Exit.FAILED)
        )


def _containers(status: Status) -> None:
    """List the running containers with their runtime, which `docker ps` does not tell."""
    code, said, _ = _docker(status, "ps", "--quiet", "--no-trunc")
    names = said.split()
    if code or not names:
        return
    form = "[{{json .Name}},{{json .Config.Image}},{{json .HostConfig.Runtime}},{{json .State.Status}}]"
    _, said, _ = _docker(status, "inspect", "--type", "container", "--format", form, *names)  # one may end meanwhile
    for row in said.splitlines():
        try:
            name, image, runtime, state = (str(value) for value in json.loads(row))
        except (ValueError, TypeError):
            continue
        status.containers.append(Container(name.lstrip("/"), image, runtime, state))
    status.containers.sort(key=lambda container: (container.isolated, container.name))


def _versions(status: Status) -> None:
    """Ask Sysbox, which is on this machine unless a VM has it."""
    if shutil.which("sysbox-runc"):
        _, said, _ = _say(["sysbox-runc", "--version"])
        version = re.search(r"^\s*version:\s*(\S+)", said, re.MULTILINE)
        status.sysbox = version[1] if version else ""
        status.advisories = _advisories(status.sysbox) if status.sysbox else []


def _advisories(version: str) -> list[str]:
    """List what is known against a version of Sysbox, from the role's own table."""
    import yaml

    from cai import content

    try:
        table = yaml.safe_load((content.root() / "roles" / "sysbox" / "vars" / "main.yml").read_text(encoding="utf-8"))
        rows = table.get("__sysbox_advisories") or []
        return [
            f"Sysbox {version}: {row['what']}; mended in {row['fixed_in']} ({row['source']})"
            for row in rows
            if _number(row["fixed_in"]) > _number(version)
        ]
    except (OSError, CaiError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return []


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _vm(status: Status) -> None:
    """Ask for the VM's state."""
    if not shutil.which("limactl"):
        return
    _, said, _ = _say(["limactl", "list", "--format", "json"])
    for row in said.splitlines():
        try:
            found: Any = json.loads(row)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("name") == status.engine.context:
            status.vm = str(found.get("status", ""))


def document(status: Status) -> dict[str, Any]:
    """The versioned document of --json; cai/schemas/ describes it."""
    from cai import report

    return {
        "version": report.SCHEMA_VERSION,
        "command": "status",
        "ok": status.exit_code == Exit.OK,
        "exit_code": int(status.exit_code),
        "platform": status.platform,
        "engine": {
            "state": status.state,
            "version": status.docker or None,
            "socket": status.engine.socket,
            "context": status.engine.context,
        },
        "sysbox": status.sysbox or None,
        "vm": status.vm or None,
        "advisories": status.advisories,
        "containers": [{**asdict(item), "isolated": item.isolated} for item in status.containers],
        "errors": [report.error_document(error) for error in status.errors],
        "log": None,
    }
