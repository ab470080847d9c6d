"""systemd with the engine's units, and an engine that answers while its unit is active."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.roles.conftest import Commands

UNIT, HELPERS = "containai-docker.service", ["containai-network.service", "containai-containerd.service"]
WANTED = {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}
GOOD = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "MainPID": "0"}
# As particular as the original: an unknown unit is an error, and so is a job that fails.
SYSTEMCTL = """
import os
path = {path!r}
units = json.load(open(path))
verb, *rest = sys.argv[1:]
names = [word for word in rest if not word.startswith("-") and "," not in word]
if verb == "show":
    for key, value in units.get(names[0], {{"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": "", "MainPID": "0"}}).items():
        print(f"{{key}}={{value}}")
    sys.exit(0)
for name in names:
    if name not in units:
        sys.exit(f"Unit {{name}} not loaded.")
    if os.path.exists(path + ".broken") and verb in ("restart", "reload", "disable"):
        sys.exit(f"Job for {{name}} failed because the control process exited with error code.\\nSee more.")
    change = {{"restart": {{"ActiveState": "active"}}, "enable": {{"UnitFileState": "enabled"}}}}.get(verb, {{}})
    if verb == "disable":
        change = {{"UnitFileState": "disabled", "ActiveState": "inactive"}}
    units[name].update(change, last=verb)
json.dump(units, open(path, "w"))
"""


class Service:
    """systemd, and an engine that answers while its unit is active."""

    def __init__(self, tmp_path: Path, commands: Commands, engine: Any) -> None:
        self.path = tmp_path / "units.json"
        self.commands = commands
        self.write({name: dict(GOOD) for name in (UNIT, *HELPERS)})
        commands.add("systemctl", SYSTEMCTL.format(path=str(self.path)), python=True)
        self.info: dict[str, Any] | None = {"ServerVersion": "28.5.2", "Runtimes": {"runc": {"path": "runc"}, **WANTED}}
        self.knows_after = ""  # the verb after which the engine knows the runtime
        self.containers: list[dict[str, Any]] = []
        self.engine = engine({"/info": self.answer, "/containers/json": lambda: self.containers})
        self.parameters = {
            "unit": UNIT,
            "helpers": HELPERS,
            "socket": self.engine.path,
            "runtimes": WANTED,
            "timeout": 1,
        }

    @property
    def units(self) -> dict[str, dict[str, str]]:
        return json.loads(self.path.read_text())

    def write(self, units: dict[str, dict[str, str]]) -> None:
        self.path.write_text(json.dumps(units))

    def set(self, unit: str = UNIT, **state: str) -> None:
        self.write({**self.units, unit: {**self.units[unit], **state}})

    def answer(self) -> Any:
        unit = self.units[UNIT]
        if unit["ActiveState"] != "active" or self.info is None:
            return None
        if self.knows_after and unit.get("last") != self.knows_after:
            return {**self.info, "Runtimes": {"runc": {"path": "runc"}}}
        return self.info

    def changes(self) -> list[list[str]]:
        return [call for call in self.commands.of("systemctl") if call[0] != "show"]
