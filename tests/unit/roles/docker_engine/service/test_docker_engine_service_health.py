"""What doctor says of the engine, its socket and its network."""

from __future__ import annotations

import grp
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import Commands, run_module
from tests.unit.roles.docker_engine.service.systemd import UNIT, Service


def report(module: ModuleType, service: Service, **more: Any) -> dict[str, tuple[str, str]]:
    before = service.units
    parameters = {key: value for key, value in service.parameters.items() if key != "runtimes"}
    answer = run_module(module, report=True, **parameters, **more)
    assert not answer["changed"]
    assert service.units == before
    assert service.changes() == []
    for finding in answer["findings"]:
        assert finding["status"] in {"pass", "warn", "fail", "unknown"}
        assert finding["status"] == "pass" or "`" in finding["hint"]
    return {finding["part"]: (finding["status"], finding["found"]) for finding in answer["findings"]}


def test_the_health_report_of_a_good_engine(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o660)
    group = grp.getgrgid(Path(service.engine.path).stat().st_gid).gr_name
    found = report(module, service, group=group)
    assert found["engine"] == ("pass", f"Docker 28.5.2 answers on {service.engine.path}")
    assert found["socket"][0] == "pass"


def test_the_health_report_of_bad_ones(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o600)
    assert report(module, service)["socket"][0] == "fail"
    service.set(UnitFileState="disabled")
    assert report(module, service)["engine"][0] == "warn"
    service.info = None
    assert report(module, service)["engine"] == (
        "fail",
        f"{UNIT} is active but does not answer on {service.engine.path}",
    )
    service.set(ActiveState="failed")
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is failed")
    service.write({})
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is not set up")


@pytest.mark.parametrize("script", ["exit 1", 'echo "iptables rule missing: x"; exit 1', "echo oops >&2; exit 3"])
def test_the_health_report_of_a_broken_network(
    module: ModuleType, service: Service, commands: Commands, script: str
) -> None:
    program = str(commands.add("network", script))
    answer = run_module(module, check_mode=False, **{**service.parameters, "check": [program, "check"], "report": True})
    (network,) = [finding for finding in answer["findings"] if finding["part"] == "network"]
    assert network["status"] == "fail"
    assert network["found"]
