"""lima_vm_brew: what is missing is installed quietly, and a failure has Homebrew's own words."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import Run, load
from .mac import install


@pytest.fixture
def brew(tmp_path: Path) -> Path:
    cellar, link = tmp_path / "cellar", tmp_path / "opt"
    for folder in (cellar, link):
        folder.mkdir()
    for name in ("brew", "limactl", "docker"):  # the stand-in pours its neighbours
        install(name, cellar)
    (link / "brew").symlink_to(tmp_path / "cellar/brew")
    return link / "brew"


def test_brew_installs_what_is_missing_quietly(run: Run, brew: Path) -> None:
    module: ModuleType = load("lima_vm_brew")
    assert run(module, check=True, brew="", formulae=["lima", "docker"])["actions"] == [
        {"verb": "install", "what": "lima (Homebrew)"},
        {"verb": "install", "what": "docker (Homebrew)"},
    ]
    result = run(module, brew=str(brew), formulae=["lima", "docker"])
    assert (result["changed"], result["limactl"]) == (True, str(brew.parent / "limactl"))
    calls = [json.loads(line) for line in (brew.parent / "brew.calls").read_text().splitlines()]
    assert [call["argv"] for call in calls] == [["install", "lima"], ["install", "docker"]]
    assert calls[0]["environment"]["HOMEBREW_NO_AUTO_UPDATE"] == "1"
    assert calls[0]["environment"]["NONINTERACTIVE"] == "1"


def test_brew_fails_with_its_own_words(run: Run, brew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEBREW_FAILS", "1")
    result = run("lima_vm_brew", brew=str(brew), formulae=["lima"])
    assert "`curl --proxy http://***@proxy:3128` exited with 6." in result["msg"]
    assert "brew install lima" in result["hint"]


def test_brew_with_old_formulae_is_told_to_update(
    run: Run, brew: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIMA_HOME", str(tmp_path))
    (tmp_path / "_standin.json").write_text(json.dumps({"version": "1.0.7"}))
    result = run("lima_vm_brew", brew=str(brew), formulae=["lima"])
    assert "Lima 1.0.7" in result["msg"]
    assert "upgrade lima" in result["hint"]


def test_a_missing_brew_program(run: Run) -> None:
    assert run("lima_vm_brew", brew="/nowhere/brew", formulae=["docker"])["failed"] is True
