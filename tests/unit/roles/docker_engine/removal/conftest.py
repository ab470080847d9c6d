from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.docker_engine.removal.host import Host


@pytest.fixture
def module(commands: Commands, state: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("docker_engine_removal")
    monkeypatch.setattr(loaded, "STATE_DIR", str(state))
    return loaded


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands) -> Host:
    return Host(tmp_path, commands)
