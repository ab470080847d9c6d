"""Success means that the engine answered on its socket, which has the right mode."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import run_module
from tests.unit.roles.docker_engine.service.systemd import UNIT, Service


def test_a_dead_socket_takes_a_restart(module: ModuleType, service: Service) -> None:
    service.info, alive = None, service.info
    assert run_module(module, check_mode=True, **service.parameters).actions == [("restart", UNIT)]
    answer = run_module(module, **service.parameters)
    assert answer["failure"] == "failed"
    assert "does not answer" in answer["msg"]
    assert "failed to start daemon" in answer["msg"]
    assert "proxy http://***@proxy:3128" in answer["msg"]
    assert "\x1b" not in answer["msg"]
    service.info = alive
    assert not run_module(module, **service.parameters)["changed"]


def test_a_socket_that_may_not_be_asked_is_no_dead_one(module: ModuleType, service: Service) -> None:
    monkey = os.getuid()
    if monkey == 0:
        pytest.skip("root may ask any socket")
    Path(service.engine.path).chmod(0)
    assert run_module(module, check_mode=True, **service.parameters)["actions"] == []


def test_a_socket_with_another_mode_is_put_right(module: ModuleType, service: Service) -> None:
    path = Path(service.engine.path)
    parameters = {**service.parameters, "group": grp.getgrgid(os.getgid()).gr_name}
    path.chmod(0o666)
    plan = run_module(module, check_mode=True, **parameters)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    answer = run_module(module, **parameters)
    assert plan.actions == answer.actions == [("change", f"{path}: mode 0660, group {parameters['group']}")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert service.changes() == []
    assert not run_module(module, **parameters)["changed"]
