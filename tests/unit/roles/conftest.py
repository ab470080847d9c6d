"""Run the roles' modules as Ansible does, on a machine made of a temporary folder, small programs and unix sockets."""

from __future__ import annotations

import contextlib
import http.server
import importlib
import importlib.util
import io
import json
import os
import shlex
import shutil
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

REPOSITORY = Path(__file__).resolve().parents[3]
ROLES = REPOSITORY / "roles"
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
LOADED: dict[str, ModuleType] = {}

# Ansible puts every role's module_utils below ansible.module_utils; so do we.
for _folder in sorted(ROLES.glob("*/module_utils")):
    if str(_folder) not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(str(_folder))


def load_module(name: str) -> ModuleType:
    """Import roles/*/library/NAME.py."""
    if name not in LOADED:
        (path,) = ROLES.glob(f"*/library/{name}.py")
        spec = importlib.util.spec_from_file_location(f"role_module_{name}", path)
        LOADED[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return LOADED[name]


def utilities() -> list[ModuleType]:
    """Import all of the roles' module_utils."""
    own = [path.stem for path in sorted(ROLES.glob("*/module_utils/*.py"))]
    shared = [
        f"containai.{path.stem}" for path in sorted(ROLES.glob("containai_common/module_utils/containai/[!_]*.py"))
    ]
    return [importlib.import_module(f"ansible.module_utils.{name}") for name in own + shared]


class Answer(dict[str, Any]):
    """What a module printed, and the code it ended with."""

    code: int

    @property
    def actions(self) -> list[tuple[str, str]]:
        return [(action["verb"], action["what"]) for action in self.get("actions", [])]

    @property
    def warned(self) -> str:
        """The texts of all warnings, which ansible-core keeps as objects since 2.19."""
        return "\n".join(one if isinstance(one, str) else one["event"]["msg"] for one in self.get("warnings", []))


def run_module(module: ModuleType, /, *, check_mode: bool = False, **parameters: Any) -> Answer:
    """Run main() with these parameters; whatever is no proper end of a module is an error of the test."""
    printed = io.StringIO()
    warnings._global_warnings.clear()  # kept for the life of a process, which is one module's elsewhere
    arguments = {**parameters, "_ansible_check_mode": check_mode, "_ansible_diff": True}
    with patch_module_args(arguments), contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
        module.main()
    answer = Answer(json.loads(printed.getvalue()))
    answer.code = int(end.value.code or 0)
    assert answer.code == (1 if answer.get("failed") else 0)
    if answer.get("failed"):
        assert answer["msg"]
        assert answer["hint"]
        assert answer["failure"] in {"unsupported", "precondition", "gate", "failed"}
    return answer


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the record below the temporary folder, for every test: none may write to the machine's own."""
    from ansible.module_utils.containai import apt, lock, record

    folder = tmp_path / "state"
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "containai.lock"))
    monkeypatch.setattr(lock, "SYSTEMD", str(tmp_path))
    monkeypatch.setattr(apt, "LOCKS", ())
    monkeypatch.setattr(record, "STATE_DIR", str(folder))
    # A test of a callback loads Ansible's controller, by whose way a module's warning would be printed and not returned.
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False, raising=False)
    for variable in ("SUDO_USER", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    lock.remove()  # held by this process, which elsewhere is a module's and ends


@pytest.fixture
def recorded(state: Path) -> Callable[[], dict[str, Any]]:
    """Read the record as it stands on disk."""

    def read() -> dict[str, Any]:
        path = state / "record.json"
        return json.loads(path.read_text()) if path.exists() else {}

    return read


class Commands:
    """Programs of a folder of their own that say what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "calls"
        folder.mkdir()

    def add(self, name: str, script: str = "", python: bool | str = False) -> Path:
        """Put a shell (or Python) program there; it notes its arguments first."""
        path = self.folder / name
        if python:
            words = f"'\\x1f'.join([{name!r}, *sys.argv[1:]]) + '\\x1e'"
            note = f"import json, sys\nopen({str(self.log)!r}, 'a').write({words})\n"
            interpreter = python if isinstance(python, str) else sys.executable
            path.write_text(f"#!{interpreter} -IS\n{note}{script}\n")
        else:
            # printf is the shell's own, so that an empty PATH does.
            quote = f"{{ printf '%s' {shlex.quote(name)}; for word; do printf '\\037%s' \"$word\"; done; printf '\\036'; }} >>{shlex.quote(str(self.log))}"
            path.write_text(f"#!/bin/sh\n{quote}\n{script}\n")
        path.chmod(0o755)
        return path

    def link(self, *names: str) -> None:
        """Make some of the machine's own programs reachable."""
        for name in names:
            program = shutil.which(name, path=SEARCH)
            if program is None:
                pytest.skip(f"{name} is not on this machine")
            (self.folder / name).symlink_to(program)

    @property
    def calls(self) -> list[list[str]]:
        """Every call so far: program and arguments."""
        if not self.log.exists():
            return []
        return [entry.split("\x1f") for entry in self.log.read_text().split("\x1e") if entry]

    def of(self, name: str) -> list[list[str]]:
        return [call[1:] for call in self.calls if call[0] == name]

    @property
    def path(self) -> str:
        return str(self.folder)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Make a folder of programs the only one there is: for the modules, which ask the system's folders, and for everybody else."""
    made = Commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", made.path)
    return made


class Engine:
    """A Docker engine's API on a unix socket: answers by path, and a list of what was asked."""

    def __init__(self, path: Path, answers: dict[str, Any]) -> None:
        self.path, self.answers, self.asked = str(path), answers, []
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                engine.asked.append(self.path)
                answer = engine.answers.get(self.path)
                if callable(answer):
                    answer = answer()
                status, answer = answer if isinstance(answer, tuple) else (404 if answer is None else 200, answer)
                raw = (
                    answer
                    if isinstance(answer, bytes)
                    else json.dumps({"message": "page not found"} if answer is None else answer).encode()
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(raw)

            do_POST = do_GET  # noqa: N815 - http.server looks for this name

            def address_string(self) -> str:
                return "a unix socket"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hung up is part of a test."""

        self.server = Server(self.path, Handler)
        self.server.socket.setblocking(
            False
        )  # a connection that is gone again when it is accepted may not stop the server for good
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        Path(self.path).unlink(missing_ok=True)


@pytest.fixture
def sockets() -> Any:
    """A folder with a short name: a unix socket's path has room for 107 characters."""
    folder = tempfile.mkdtemp(prefix="cai-")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def engine(sockets: Path) -> Any:
    """Start engines: engine(answers) or engine(answers, name='other.sock')."""
    running = []

    def start(answers: dict[str, Any], name: str = "docker.sock") -> Engine:
        running.append(Engine(sockets / name, answers))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
