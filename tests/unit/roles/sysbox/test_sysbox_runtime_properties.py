"""The whole module on a real file: any JSON object in, the same object and one key out; anything else refused, and the file not touched."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.containai_common.test_daemon_json import (
    NAME,
    REFUSED,
    WANTED,
    documents,
    expected,
    inserted,
)

PATIENT = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture
def module(commands: Commands) -> ModuleType:
    return load_module("sysbox_runtime")


def photograph(file: Path) -> tuple[Any, ...]:
    there = file.stat()
    return (
        file.read_bytes(),
        there.st_ino,
        there.st_mtime_ns,
        there.st_mode,
        there.st_uid,
        there.st_gid,
        sorted(file.parent.iterdir()),
    )


def placed(folder: Path, data: bytes, mode: int = 0o640) -> Path:
    """Put the bytes into a file in a folder of its own."""
    file = Path(tempfile.mkdtemp(dir=folder), "daemon.json")
    file.write_bytes(data)
    file.chmod(mode)
    return file


@PATIENT
@given(documents(), st.sampled_from([0o600, 0o640, 0o644, 0o666]))
def test_any_object_gets_one_key_and_keeps_the_rest(
    module: ModuleType, tmp_path: Path, document: tuple[dict, bytes], mode: int
) -> None:
    content, before = document
    file = placed(tmp_path, before, mode)
    plan = run_module(module, check_mode=True, path=str(file))
    assert file.read_bytes() == before
    answer = run_module(module, path=str(file))
    assert plan.actions == answer.actions == [("change", f"{file}: runtimes.{NAME}")]
    after = file.read_bytes()
    assert json.loads(after) == expected(content)
    if content:
        assert inserted(before, after).count(b'"sysbox-runc"') == 1
    assert stat.S_IMODE(file.stat().st_mode) == mode
    once = photograph(file)
    assert not run_module(module, path=str(file))["changed"]
    assert photograph(file) == once
    assert run_module(module, path=str(file), state="absent")["changed"]
    assert file.read_bytes() == before


@PATIENT
@given(documents())
def test_where_it_is_right_already_nothing_is_touched(
    module: ModuleType, tmp_path: Path, document: tuple[dict, bytes]
) -> None:
    content = document[0]
    file = placed(
        tmp_path,
        json.dumps(
            {**content, "runtimes": {**content.get("runtimes", {}), NAME: {**WANTED, "runtimeArgs": []}}}
        ).encode(),
    )
    before = photograph(file)
    answer = run_module(module, path=str(file))
    assert not answer["changed"]
    assert photograph(file) == before


def refused(module: ModuleType, file: Path) -> str:
    before = photograph(file)
    for check_mode in (True, False):
        answer = run_module(module, check_mode=check_mode, path=str(file))
        assert answer["failure"] == "precondition"
        assert answer["msg"].startswith(f"{file} cannot be used: ")
        assert "sysbox_daemon_json" in answer["hint"]
        assert photograph(file) == before
    return answer["msg"]


def test_what_is_no_object_is_refused_and_not_touched(module: ModuleType, tmp_path: Path, state: Path) -> None:
    for data, place in REFUSED.values():
        assert place in refused(module, placed(tmp_path, data))
    refused(module, placed(tmp_path, b'{"label": "' + b"x" * 10_000_000 + b'"}'))
    assert not state.exists()


NAMES = ("a'b\"c.json", "$(touch m).json", "{{ 7*7 }}.json", "new\nline.json", "-rf.json", "\u202e.json", "a b.json", "\x1b[31m.json")  # fmt: skip


def test_a_file_of_a_hostile_name_is_a_file(module: ModuleType, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        folder = tmp_path / f"etc{number}"
        folder.mkdir()
        (folder / name).write_text('{"debug": true}')
        assert run_module(module, path=str(folder / name))["changed"]
        assert json.loads((folder / name).read_text()) == {"debug": True, "runtimes": {NAME: WANTED}}
        assert [path.name for path in folder.iterdir()] == [name]
