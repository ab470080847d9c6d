"""The file with a proxy's password: no hash of it alone stands where others read, and it goes with the setting."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_secret_files

from tests.unit.roles.conftest import Commands, load_module, run_module

PROXY = 'HTTPS_PROXY="http://me:pw@proxy:3128"\n'


@pytest.fixture
def module(commands: Commands) -> ModuleType:
    return load_module("docker_engine_files")


def files(folder: Path, proxy: str = PROXY) -> list[dict[str, Any]]:
    return [
        {"path": str(folder / "engine.service"), "content": "CONTAINAI_REVISION=@REVISION@\n", "mode": "0644"},
        {"path": str(folder / "proxy.env"), "content": proxy, "mode": "0600", "secret": True},
    ]


def test_the_secret_is_salted_and_the_same_the_next_time(module: ModuleType, tmp_path: Path) -> None:
    first = run_module(module, files=files(tmp_path))
    text = (tmp_path / "proxy.env").read_text()
    assert re.fullmatch(rf"# Salt: [0-9a-f]{{32}}\n{re.escape(PROXY)}", text)
    assert stat.S_IMODE((tmp_path / "proxy.env").stat().st_mode) == 0o600
    again = run_module(module, files=files(tmp_path))
    assert not again["changed"]
    assert again["revision"] == first["revision"]
    assert (tmp_path / "proxy.env").read_text() == text
    assert not run_module(module, files=files(tmp_path), check_mode=True)["changed"]


def test_what_others_read_is_not_the_same_on_two_hosts_with_one_password(
    module: ModuleType, tmp_path: Path, state: Path
) -> None:
    seen = []
    for name in ("one", "two"):
        run_module(module, files=files(tmp_path / name))
        entry = json.loads((state / "record.json").read_text())["files"][str(tmp_path / name / "proxy.env")]
        seen.append((entry["after"], (tmp_path / name / "engine.service").read_text().rpartition("-")[2]))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]
    salt = (tmp_path / "two/proxy.env").read_text()[8:40]
    assert salt not in (state / "record.json").read_text() + (tmp_path / "two/engine.service").read_text()


def test_another_password_is_another_revision_and_another_salt(module: ModuleType, tmp_path: Path) -> None:
    first = run_module(module, files=files(tmp_path))
    salt = (tmp_path / "proxy.env").read_text().partition("\n")[0]
    second = run_module(module, files=files(tmp_path, PROXY.replace("pw", "wp")))
    assert second["revision"] != first["revision"]
    assert (tmp_path / "proxy.env").read_text().partition("\n")[0] != salt
    assert second.actions == [("change", str(tmp_path / name)) for name in ("engine.service", "proxy.env")]


def test_neither_password_nor_salt_is_shown(module: ModuleType, tmp_path: Path) -> None:
    for how in ({"check_mode": True}, {}):
        shown = json.dumps(run_module(module, files=files(tmp_path), **how)["diff"])
        assert "me:pw" not in shown
        assert "# Salt: ***" in shown
    assert (tmp_path / "proxy.env").read_text()[8:40] not in shown


def test_who_may_not_read_it_plans_no_change(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_module(module, files=files(tmp_path))
    read = module.read

    def closed(path: str) -> bytes | None:
        if path.endswith("proxy.env"):
            raise PermissionError(13, "Permission denied", path)
        return read(path)

    monkeypatch.setattr(module, "read", closed)
    answer = run_module(module, files=files(tmp_path), check_mode=True)
    assert not answer["changed"]
    assert answer["revision"] == first["revision"]
    assert "proxy.env cannot be read without root rights" in answer.warned


def test_it_goes_with_the_setting(module: ModuleType, tmp_path: Path, recorded: Callable[[], dict[str, Any]]) -> None:
    path = str(tmp_path / "proxy.env")
    first = run_module(module, files=files(tmp_path))
    plan = run_module(module, files=files(tmp_path)[:1], absent=[path], check_mode=True)
    assert (tmp_path / "proxy.env").exists()
    answer = run_module(module, files=files(tmp_path)[:1], absent=[path])
    assert answer.actions == plan.actions == [("change", str(tmp_path / "engine.service")), ("remove", path)]
    assert "me:pw" not in json.dumps(answer["diff"])
    assert answer["revision"] != first["revision"]
    assert not (tmp_path / "proxy.env").exists()
    assert path not in recorded()["files"]
    assert not run_module(module, files=files(tmp_path)[:1], absent=[path])["changed"]


def test_a_unit_without_a_token_has_none() -> None:
    assert (
        containai_secret_files.token_of(None)
        == containai_secret_files.token_of(b"CONTAINAI_REVISION=0123456789ab\n")
        == ""
    )


def test_the_result_does_not_repeat_the_password(module: ModuleType, tmp_path: Path) -> None:
    assert "me:pw" not in json.dumps(run_module(module, files=files(tmp_path)))
    assert run_module(module, files=files(tmp_path, ""))["revision"], "an empty file hides nothing"
