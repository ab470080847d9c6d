"""What the tests of docker-proxy share: the program, and clients that ask it."""

from __future__ import annotations

import socket
import subprocess

from tests.unit.roles.conftest import ROLES

PROGRAM = ROLES / "docker_engine" / "files" / "docker-proxy"


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def everything(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def ask_udp(client: socket.socket, port: int, data: bytes) -> bytes:
    """Ask until the answer to this comes: the first datagram may be gone before the relay reads, an answer to an earlier one may be late."""
    client.settimeout(0.5)
    for _ in range(40):
        client.sendto(data, ("127.0.0.1", port))
        try:
            answer, address = client.recvfrom(65535)
        except (TimeoutError, ConnectionRefusedError):
            continue
        assert address == ("127.0.0.1", port)
        if answer.endswith(data):
            return answer
    raise AssertionError("no answer")
