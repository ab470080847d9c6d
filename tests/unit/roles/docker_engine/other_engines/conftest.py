"""What docker_engine_info and docker_engine_compare look at, and a host with another engine."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_other_engines as other_engines

from tests.unit.roles.conftest import Commands
from tests.unit.roles.docker_engine.other_engines.host import Host


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(other_engines, "PAUSE", 0)
    # What the machine has that the tests run on is none of theirs.
    for name in ("rules", "zones", "packages"):
        monkeypatch.setattr(other_engines, name, lambda *_: {})
    for name in ("routes", "own_addresses"):
        monkeypatch.setattr(other_engines, name, list)
    monkeypatch.setattr(other_engines, "links", dict)
    return other_engines


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, commands, engine)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "SOCKET", made.engine.path)
    monkeypatch.setattr(module, "DOCKER", str(made.link))
    return made
