"""The module docker_engine_neighbours and a host with another engine."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.docker_engine.neighbours.host import Host


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("docker_engine_neighbours")
    monkeypatch.setattr(loaded, "PAUSE", 0)
    # What the machine has that the tests run on is none of theirs.
    for name in ("rules", "zones", "packages"):
        monkeypatch.setattr(loaded, name, lambda *_: {})
    for name in ("routes", "own_addresses"):
        monkeypatch.setattr(loaded, name, list)
    monkeypatch.setattr(loaded, "links", dict)
    return loaded


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, commands, engine)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "SOCKET", made.engine.path)
    monkeypatch.setattr(module, "DOCKER", str(made.link))
    return made
