"""Everything Docker of a host that is not ours, in a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.unit.roles.conftest import Commands, Engine, load_module, run_module

OURS = hashlib.sha256(b"containai-secure").hexdigest()
UNITS = {
    "docker.service": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "InvocationID": "a1",
        "MainPID": "10",
    },
    "docker.socket": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "InvocationID": "b1",
        "MainPID": "0",
    },
}


class Host:
    """Everything Docker of a host that is not ours."""

    def __init__(self, folder: Path, commands: Commands, engine: Any) -> None:
        self.docker, self.folder = folder / "home" / ".docker", folder
        self.link = folder / "docker"  # Docker Desktop's
        self.link.symlink_to("/mnt/wsl/docker-desktop/cli-tools/usr/bin/docker")
        self.units = {name: dict(state) for name, state in UNITS.items()}
        self.commands = commands
        for path, text in {
            "config.json": json.dumps({"currentContext": "desktop-linux"}),
            "daemon.json": "{}",
            "contexts/meta/feed/meta.json": '{"Name": "desktop-linux"}',
            "contexts/tls/feed/docker/ca.pem": "certificate",
            f"contexts/meta/{OURS}/meta.json": '{"Name": "containai-secure"}',
        }.items():
            self.write(path, text)
        self.answers = {
            "/info": {"ID": "ENGINE-A"},
            "/containers/json": [{"Id": "c1", "Names": ["/web"], "Ports": []}],
            "/containers/c1/json": {"State": {"Pid": 100, "StartedAt": "today"}},
        }
        self.engine: Engine = engine(self.answers)
        commands.add(
            "systemctl", 'while read -r line; do echo "$line"; done <"$0.$4" 2>/dev/null || echo LoadState=not-found'
        )
        self.settle()

    def write(self, path: str, text: str) -> None:
        (self.docker / path).parent.mkdir(parents=True, exist_ok=True)
        (self.docker / path).write_text(text)

    def settle(self) -> None:
        for name, state in self.units.items():
            (self.commands.folder / f"systemctl.{name}").write_text(
                "".join(f"{key}={value}\n" for key, value in state.items())
            )


def look(**parameters: Any) -> Any:
    """Run docker_engine_info for the other engines alone."""
    return run_module(load_module("docker_engine_info"), gather_subset=["others"], **parameters)


def snapshot(_: ModuleType) -> dict[str, Any]:
    return look()["snapshot"]


def compare(before: dict[str, Any]) -> Any:
    return run_module(load_module("docker_engine_compare"), before=before)
