"""What the preflight tells the run: whether the package's and the runtime's modules have anything to do."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_deb, containai_sysbox_plan
from ansible.module_utils.containai.record import Record

from tests.unit.roles.conftest import run_module
from tests.unit.roles.sysbox.package.host import Host, look

RIGHT = '{"runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}}'


@pytest.fixture(autouse=True)
def needs_are_met(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containai_sysbox_plan, "check_needs", lambda params: None)


@pytest.fixture
def converged(module: ModuleType, host: Host, parameters: dict[str, Any]) -> dict[str, Any]:
    assert run_module(module, **parameters)["changed"]
    return parameters


def needed(module: ModuleType, parameters: dict[str, Any], **more: Any) -> bool:
    answer = look("plan", parameters, **more)
    assert not answer["changed"]
    return bool(answer["needed"])


def test_a_converged_host_needs_nothing(module: ModuleType, converged: dict[str, Any], host: Host) -> None:
    assert not needed(module, converged)


def test_a_bare_host_needs_it(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    assert needed(module, parameters)


def test_a_stopped_service_a_changed_file_and_a_dead_mount_need_it(
    module: ModuleType, converged: dict[str, Any], host: Host, drop_in: Path, mounts: Any
) -> None:
    host.active.unlink()
    assert needed(module, converged)
    host.active.touch()
    text = drop_in.read_text()
    drop_in.write_text("")
    assert needed(module, converged)
    drop_in.write_text(text)
    assert not needed(module, converged)
    mounts(dead=("x1",))
    assert needed(module, converged)


def test_another_version_needs_it(module: ModuleType, converged: dict[str, Any], host: Host) -> None:
    host.has("0.7.0")
    assert needed(module, converged)


def test_what_a_killed_run_left_needs_it(module: ModuleType, converged: dict[str, Any]) -> None:
    record = Record()
    record.data["stopped_containers"] = [{"id": "a", "name": "a", "socket": "/run/x.sock"}]
    record.save()
    assert needed(module, converged)
    record.data.pop("stopped_containers")
    record.begin_installation("sysbox")
    assert needed(module, converged)


def test_a_scratch_folder_of_a_killed_run_is_cleared_away(module: ModuleType, converged: dict[str, Any]) -> None:
    left = Path(containai_sysbox_deb.SCRATCH) / "containai-shadow-x"
    left.mkdir(parents=True)
    assert needed(module, converged)
    assert not run_module(module, **converged)["changed"]
    assert not left.exists()
    assert not needed(module, converged)


def test_a_newer_version_is_told_of_by_the_preflight_alone(
    module: ModuleType, converged: dict[str, Any], host: Host
) -> None:
    host.has("0.8.0")
    answer = look("plan", converged)
    assert not answer["needed"]
    assert "0.8.0 is installed, which is newer" in answer.warned


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (RIGHT, True),
        ("", False),
        ("{}", False),
        (RIGHT.replace("/usr/bin", "/opt"), False),
        (RIGHT[:-1], False),
        (f'{RIGHT[:-1]}, "default-runtime": "sysbox-runc"}}', False),  # a run warns of it
    ],
)
def test_a_daemon_json_that_has_the_runtime_is_known(
    module: ModuleType, converged: dict[str, Any], tmp_path: Path, text: str, right: bool
) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    assert look("plan", converged, daemon_json=str(file))["runtime"] is right
    file.unlink()
    assert look("plan", converged, daemon_json=str(file))["runtime"] is False
