"""The module docker_engine_service with a systemd and an engine."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.docker_engine.service.systemd import Service


@pytest.fixture
def module(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("docker_engine_service")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    commands.add(
        "journalctl", "printf 'dockerd: \\033[31mfailed to start daemon\\033[0m\\nproxy http://me:geheim@proxy:3128\\n'"
    )
    return loaded


@pytest.fixture
def service(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any) -> Service:
    return Service(tmp_path, commands, engine)
