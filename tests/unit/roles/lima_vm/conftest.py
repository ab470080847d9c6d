"""Runs the role's modules as Ansible does, with stand-ins for the programs they call."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

from .mac import ROLE, SOMEBODY, Mac, install

for _folder in (ROLE / "module_utils", ROLE.parent / "containai_common/module_utils"):
    if str(_folder) not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(str(_folder))

Run = Callable[..., dict[str, Any]]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROLE / "library" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a module with its arguments; returns its result."""

    def call(module: str | ModuleType, check: bool = False, **arguments: Any) -> dict[str, Any]:
        loaded = load(module) if isinstance(module, str) else module
        capsys.readouterr()
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
            suppress(SystemExit),
        ):
            loaded.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        # Ansible hands warnings over as objects; their text is what is looked at.
        result["warnings"] = [
            text if isinstance(text, str) else text["event"]["msg"] for text in result.get("warnings", [])
        ]
        return result

    return call


class Standin:
    """The stand-in limactl's world: a LIMA_HOME, and what goes wrong in it."""

    def __init__(self, home: Path, program: Path) -> None:
        self.home, self.program = home, program
        self.folder = home / "containai-secure"

    def set(self, **settings: Any) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "_standin.json").write_text(json.dumps(settings))

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def starts(self) -> int:
        path = self.folder / "starts"
        return len(path.read_text()) if path.exists() else 0

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Everything below home, for a comparison."""
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(self.home.rglob("*"))
            if path.is_file()
        }

    def end(self) -> None:
        for path in self.home.glob("*/*.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.fixture
def lima(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """A stand-in limactl with a LIMA_HOME of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("limactl", "ssh"):
        install(name, programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with tempfile.TemporaryDirectory(prefix="l", dir="/tmp") as folder:  # pytest's own are too long for a socket
        world = Standin(Path(folder) / "l", programs / "limactl")
        yield world
        world.end()


@pytest.fixture
def instance_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module lima_vm_instance, which looks more often than it does at a real VM, and gives up sooner."""
    module = load("lima_vm_instance")
    monkeypatch.setattr(module, "SOCKET_SECONDS", 2)
    often = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: time.sleep(seconds / 20))
    monkeypatch.setattr(sys.modules["ansible.module_utils.containai_limactl"], "time", often)
    return module


@pytest.fixture
def engine_says(instance_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Sets what the VM's engine answers on the forwarded socket."""
    return lambda answer: monkeypatch.setattr(instance_module, "ask", lambda _path, _question: answer)


@pytest.fixture
def instance(run: Run, lima: Standin, instance_module: ModuleType) -> Run:
    """That module on the stand-in limactl."""

    def call(check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {
            "name": "containai-secure",
            "config": CONFIG,
            "limactl": str(lima.program),
            "home": str(lima.home),
            "settle": 0.5,
            **arguments,
        }
        return run(instance_module, check, **given)

    return call


CONFIG = "# Made by the role lima_vm\nimages: [{location: /image.qcow2, arch: x86_64}]\ncpus: 2\ndisk: 20GiB\n"


@pytest.fixture
def mac() -> Iterator[Mac]:
    """A Mac with nothing installed."""
    if os.geteuid() == 0 and subprocess.run([*SOMEBODY, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root without user namespaces cannot be an ordinary user here")
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as root:
        Path(root).chmod(0o755)
        made = Mac(Path(root))
        yield made
        made.end()
