"""The module docker_context, with a stand-in for the CLI and, where there is one, with the real CLI, which needs no daemon for it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, load_module
from tests.unit.roles.docker_context.contexts import REAL, STAND_IN


@pytest.fixture
def module(commands: Commands, home: Path) -> ModuleType:
    """The module and the stand-in."""
    commands.add("docker", STAND_IN, python=True)
    commands.link("rm", "tar")
    return load_module("docker_context")


@pytest.fixture(params=["stand-in", "real"])
def either(request: pytest.FixtureRequest, module: ModuleType, commands: Commands) -> ModuleType:
    """The module and one CLI after the other: what they do on disk is the same."""
    if request.param == "real":
        if REAL is None:
            pytest.skip("there is no docker CLI on this machine")
        (commands.folder / "docker").unlink()
        commands.link("docker")
    return module


@pytest.fixture
def bare(commands: Commands, home: Path) -> ModuleType:
    """The module where no docker CLI is."""
    return load_module("docker_context")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder
