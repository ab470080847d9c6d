"""The relay of TCP: half-closed, large, many at once, refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.docker_engine.proxy.client import connect, everything


class Backend:
    """A TCP server that serves each connection with a function."""

    def __init__(self, serve: Any, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port, self.serve = self.listener.getsockname()[1], serve
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the thread before the listener is closed: it would accept on the number, which the next test's listener may have by then."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client: socket.socket) -> None:
        with client:
            self.serve(client)


@pytest.fixture
def backend() -> Any:
    made = []

    def start(serve: Any) -> int:
        made.append(Backend(serve))
        return made[-1].port

    yield start
    for one in made:
        one.stop()


def test_a_half_closed_connection_goes_on_the_other_way(relay: Any, backend: Any) -> None:
    port = relay("tcp", backend(lambda client: client.sendall(hashlib.sha256(everything(client)).digest())))
    with connect(port) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == hashlib.sha256(b"question").digest()


def test_a_backend_that_closes_first_is_passed_on(relay: Any, backend: Any) -> None:
    port = relay("tcp", backend(lambda client: client.sendall(b"bye")))
    with connect(port) as client:
        assert everything(client) == b"bye"


def test_a_large_transfer_arrives_whole_both_ways(relay: Any, backend: Any) -> None:
    def echo(client: socket.socket) -> None:
        while data := client.recv(1 << 16):
            client.sendall(data)

    data = os.urandom(1 << 20) * 12
    port = relay("tcp", backend(echo))
    with connect(port) as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        got = everything(client)
        sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_many_connections_at_once(relay: Any, backend: Any) -> None:
    port = relay("tcp", backend(lambda client: client.sendall(client.recv(100))))
    clients = [connect(port) for _ in range(60)]
    for number, client in enumerate(clients):
        client.sendall(f"{number}".encode())
    for number, client in enumerate(clients):
        assert client.recv(100) == f"{number}".encode()
        client.close()


def test_a_refused_backend_closes_and_the_next_one_is_served(relay: Any, backend: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
        port = relay("tcp", free)
        with connect(port) as client:
            assert client.recv(1) == b""
    late = Backend(lambda client: client.sendall(b"now"), free)
    with connect(port) as client:
        assert everything(client) == b"now"
    late.stop()


def test_running_out_of_descriptors_slows_and_never_spins(backend: Any, relay: Any) -> None:
    """The kernel keeps who waits; with room again all are served, and the processor was left alone meanwhile."""
    port = relay("tcp", backend(lambda client: client.sendall(everything(client))))
    (process,) = relay.running
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (8, 4096))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(12)]
        time.sleep(0.2)
        before = sum(seconds_used(process.pid))
        time.sleep(1)
        assert sum(seconds_used(process.pid)) - before < 0.3
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
        assert [everything(client) for client in clients] == [b"%d" % number for number in range(12)]


def seconds_used(pid: int) -> tuple[float, float]:
    """Seconds of processor that a process used: its own and the kernel's."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[11]) / os.sysconf("SC_CLK_TCK"), int(words[12]) / os.sysconf("SC_CLK_TCK")
