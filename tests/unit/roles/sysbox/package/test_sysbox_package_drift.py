"""What is no longer as it was left (the drop-in, the services, a program) is seen by doctor and put right by the next run."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.containai_sysbox_health import of_package

from tests.unit.roles.conftest import load_module, run_module
from tests.unit.roles.sysbox.package.host import Host


def test_a_drifted_drop_in_is_put_right(
    module: ModuleType, host: Host, parameters: dict[str, Any], drop_in: Path
) -> None:
    run_module(module, **parameters)
    drop_in.write_text("[Service]\n")
    answer = run_module(module, **parameters)
    assert answer.actions == [("change", str(drop_in))]
    assert ["systemctl", "daemon-reload"] in host.changes()
    assert host.changes()[-1] == ["systemctl", "restart", "sysbox.service"]


def test_stopped_services_are_started(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.active.unlink()
    answer = run_module(module, **parameters)
    assert answer.actions == [("start", " ".join(module.UNITS))]
    assert host.active.exists()


def test_a_start_that_hangs_is_tried_once_more(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.active.unlink()
    host.slow.touch()
    assert run_module(module, **parameters)["changed"]
    assert host.active.exists()


def test_services_that_do_not_start_are_said(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.active.unlink()
    host.stuck.touch()
    answer = run_module(module, **parameters)
    assert "sysbox-mgr.service" in answer["msg"]
    assert "`systemctl status sysbox-mgr sysbox-fs`" in answer["hint"]


def test_a_half_installed_one_is_repaired(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.7.1", "install ok half-configured")
    answer = run_module(module, **parameters)
    assert ("change", "Sysbox 0.7.1 (repair of 0.7.1)") in answer.actions
    assert host.there.read_text().endswith("install ok installed\n")


def test_a_program_that_is_gone_brings_the_package_again(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    run_module(module, **parameters)
    (tmp_path / "sysbox-runc").unlink()
    (finding, *_), ready = of_package("0.7.1")
    assert not ready
    assert (finding["status"], finding["found"]) == ("fail", "Sysbox 0.7.1, incomplete; 0.7.1 is needed")
    assert ("change", "Sysbox 0.7.1 (repair of 0.7.1)") in run_module(module, **parameters).actions


def test_the_health_report(module: ModuleType, host: Host) -> None:
    def statuses() -> list[str]:
        findings, _ = of_package("0.7.1")
        assert all(one["status"] == "pass" or "`" in one["hint"] for one in findings)
        return [one["status"] for one in findings]

    assert statuses() == ["fail"]
    host.has("0.7.0")
    assert statuses() == ["fail", "pass"]
    host.has("0.7.1")
    assert statuses() == ["pass", "pass"]
    host.active.unlink()
    assert statuses() == ["pass", "fail"]
    assert host.changes() == []


def test_the_report_has_every_part_and_tries_no_isolation_where_the_engine_cannot_be_used(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    run_module(module, **parameters)
    daemon_json = tmp_path / "daemon.json"
    saved = tmp_path / "data" / "rescued" / "0123-docker-1"
    saved.mkdir(parents=True)
    assert saved.name in run_module(module, **{**parameters, "data_roots": [str(tmp_path / "data")]}).warned
    daemon_json.write_text('{"runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}}')
    info = {
        "version": "0.7.1",
        "socket": parameters["socket"],
        "daemon_json": str(daemon_json),
        "engine_ready": False,
        "data_roots": [str(tmp_path / "data")],
    }
    found = run_module(load_module("sysbox_info"), **info)["findings"]
    assert [(one["part"], one["status"]) for one in found] == [
        ("Sysbox", "pass"),
        ("Sysbox services", "pass"),
        ("rescued data", "warn"),
        ("runtime", "pass"),
        ("isolation", "unknown"),
    ]
