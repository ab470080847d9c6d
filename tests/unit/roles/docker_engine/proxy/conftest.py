"""The relay alone, of either protocol."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.roles.docker_engine.proxy.client import PROGRAM, end

# The relay alone, on a listener that is there already: any user can run it.
RELAY = """
import importlib.machinery, importlib.util, socket, sys
loader = importlib.machinery.SourceFileLoader("docker_proxy", sys.argv[1])
sys.dont_write_bytecode = True
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("docker_proxy", loader))
loader.exec_module(module)
module.UDP_IDLE_SECONDS = float(sys.argv[4])
listener = socket.socket(fileno=int(sys.argv[3]))
getattr(module, sys.argv[2])(listener, (sys.argv[6], int(sys.argv[5])))
"""


@pytest.fixture
def relay() -> Any:
    """Start a relay: relay('tcp', backend's port) gives the port that it listens on."""
    running = []

    def start(proto: str, backend: int, idle: float = 90.0, container: str = "127.0.0.1") -> int:
        kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as listener:
            listener.bind(("127.0.0.1", 0))
            if proto == "tcp":
                listener.listen()
            argv = [
                sys.executable,
                "-c",
                RELAY,
                str(PROGRAM),
                f"relay_{proto}",
                str(listener.fileno()),
                str(idle),
                str(backend),
                container,
            ]
            running.append(subprocess.Popen(argv, pass_fds=[listener.fileno()], stderr=subprocess.PIPE))
            return listener.getsockname()[1]

    start.running = running  # type: ignore[attr-defined]  # for the one test that starves it
    yield start
    for process in running:
        assert process.poll() is None, "the relay ended by itself"
        end(process)
