"""Whether windows.yml may restart a distro or all of WSL."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.conftest import REPOSITORY, Answer, run_module

WHOLE = "every process was seen\n"
SHIM = "container 77 /usr/bin/containerd-shim-runc-v2 -namespace moby -id 0123456789abcdef0123 -address /run/x.sock \n"
CONMON = "container 78 /usr/bin/conmon --api-version 1 -c 99999999999999 -u 9999 -r /usr/bin/crun -n builder \n"


@pytest.fixture(scope="module")
def module(playbook_module: Callable[[str], ModuleType]) -> ModuleType:
    return playbook_module("containai_wsl_restart")


def windows(*names: str) -> dict[str, Any]:
    """What wsl.exe lists, UTF-16 that Ansible read as UTF-8."""
    return {"rc": 0, "stdout": "".join(f"{name}\r\n" for name in names).encode("utf-16-le").decode()}


def said(**distros: str) -> list[dict[str, Any]]:
    return [{"__windows_name": name.replace("_", "-"), "rc": 0, "stdout": text} for name, text in distros.items()]


def ask(module: ModuleType, restart: str, running: Any, asked: Any, **more: Any) -> Answer:
    known = {"distribution": "Debian", "windows": True, "stop": []}
    return run_module(module, restart=restart, running=running, asked=asked, **{**known, **more})


def test_a_distro_without_containers_may_restart(module: ModuleType) -> None:
    answer = ask(module, "distro", windows("Debian", "docker-desktop"), said(Debian=WHOLE))
    assert (answer["go"], answer["stops"], answer["changed"]) == ("distro", ["Debian"], False)


def test_check_mode_says_it(module: ModuleType) -> None:
    answer = run_module(
        module, check_mode=True, restart="wsl", distribution="Debian", windows=True,
        running=windows("Debian"), asked=said(Debian=WHOLE), stop=[],
    )  # fmt: skip
    assert answer["changed"]
    assert answer.actions == [("restart", "all of WSL (Debian)")]


@pytest.mark.parametrize("restart", ["distro", "wsl"])
def test_containers_refuse_it(module: ModuleType, restart: str) -> None:
    answer = ask(module, restart, windows("Debian"), said(Debian=SHIM + CONMON + WHOLE), stop=["*"])
    assert answer["failure"] == "precondition"
    assert "containers run in Debian (0123456789ab, builder)." in answer["msg"]
    assert "`docker stop NAME`" in answer["hint"]


def test_containers_of_another_distro_refuse_a_restart_of_all(module: ModuleType) -> None:
    running, asked = windows("Debian", "docker-desktop"), said(Debian=WHOLE, docker_desktop=SHIM + WHOLE)
    answer = ask(module, "wsl", running, asked, stop=["docker-desktop"])
    assert "containers run in docker-desktop (0123456789ab)." in answer["msg"]
    assert ask(module, "distro", running, asked)["go"] == "distro"


SILENT = {
    "cut off": {"rc": 0, "stdout": ""},
    "failed": {"rc": 255, "stdout": WHOLE},
    "unreachable": {"unreachable": True, "msg": "timed out"},
    "not asked": None,
}


@pytest.mark.parametrize("answered", SILENT.values(), ids=SILENT.keys())
def test_unknown_is_not_none(module: ModuleType, answered: dict[str, Any] | None) -> None:
    asked = [*said(Debian=WHOLE), *([{"__windows_name": "Alpine", **answered}] if answered else [])]
    answer = ask(module, "wsl", windows("Debian", "Alpine"), asked, stop=["*"])
    assert "whether containers run in Alpine is unknown" in answer["msg"]


def test_another_distro_stops_only_if_it_was_named(module: ModuleType) -> None:
    running, asked = windows("Debian", "docker-desktop"), said(Debian=WHOLE, docker_desktop=WHOLE)
    answer = ask(module, "wsl", running, asked)
    assert "it would stop other distros that run: docker-desktop." in answer["msg"]
    assert """`-e '{"cai_windows_stop": ["docker-desktop"]}'`""" in answer["hint"]
    for allowed in (["docker-desktop"], ["Docker-*"], ["*"]):
        assert ask(module, "wsl", running, asked, stop=allowed)["stops"] == ["Debian", "docker-desktop"]


@pytest.mark.parametrize(
    "running",
    [{"rc": 255, "stdout": ""}, {"unreachable": True, "msg": "no route"}, windows("Ubuntu"), {"skipped": True}],
    ids=["failed", "unreachable", "another user's", "skipped"],
)
def test_a_list_that_is_none_refuses_it(module: ModuleType, running: dict[str, Any]) -> None:
    assert "Windows did not tell which distros run" in ask(module, "wsl", running, said(Debian=WHOLE))["msg"]


def test_a_host_that_is_not_reached_through_windows_is_told_what_to_type(module: ModuleType) -> None:
    answer = ask(module, "distro", {"skipped": True}, [], windows=False)
    assert "not reached through Windows" in answer["msg"]
    assert "`wsl.exe --terminate Debian`" in answer["hint"]


@pytest.mark.parametrize("name", ['a"b', "a & b", "a%b%", "$(x)", "a`b", " a", "a|b"])
def test_a_name_that_windows_shells_would_read_is_refused(module: ModuleType, name: str) -> None:
    assert "Windows' shells read" in ask(module, "distro", windows(name), said(), distribution=name)["msg"]


def test_the_processes_of_containers_are_found(module: ModuleType, tmp_path: Path) -> None:
    """The real script, in the shells that distros have, with real processes of those names."""
    script = str(REPOSITORY / "playbooks/files/containers.sh")
    before = subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout
    assert before.endswith(WHOLE)
    stub = tmp_path / "conmon"
    stub.write_text(f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n")
    stub.chmod(0o755)
    process = subprocess.Popen([str(stub), "-c", "1" * 64, "-n", "of-this-test"])
    try:
        comm = Path(f"/proc/{process.pid}/comm")
        limit = time.monotonic() + 20
        while comm.read_text().strip() != "conmon":
            assert time.monotonic() < limit
        after = subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout
    finally:
        process.kill()
        process.wait()
    found = module.containers({"rc": 0, "stdout": after})
    assert found is not None
    assert "of-this-test" in found
    assert "of-this-test" not in module.containers({"rc": 0, "stdout": before})
