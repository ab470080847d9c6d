"""The relay of UDP: each client has its answers, and nothing that fails ends it."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest

from tests.unit.roles.docker_engine.proxy.client import ask_udp


@pytest.fixture
def echo_udp() -> Any:
    """A UDP server that answers with what came and from which port."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                data, client = server.recvfrom(65535)
            except OSError:
                return
            if data == b"stop":
                return
            server.sendto(f"{client[1]} ".encode() + data, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"stop", server.getsockname())
    thread.join(5)
    server.close()


def test_datagrams_come_back_to_whom_they_belong(relay: Any, echo_udp: int) -> None:
    port = relay("udp", echo_udp)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        first, second = ask_udp(one, port, b"one").split(), ask_udp(two, port, b"two").split()
        assert (first[1], second[1]) == (b"one", b"two")
        assert first[0] != second[0]  # one upstream socket for each
        assert ask_udp(one, port, b"again").split() == [first[0], b"again"]


def test_a_large_datagram(relay: Any, echo_udp: int) -> None:
    port = relay("udp", echo_udp)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        data = os.urandom(60_000)
        assert ask_udp(client, port, data).split(b" ", 1)[1] == data


def test_a_silent_client_is_forgotten(relay: Any, echo_udp: int) -> None:
    port = relay("udp", echo_udp, idle=0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        first = ask_udp(client, port, b"first").split()[0]
        for silence in (0.8, 3, 10):  # a busy machine looks later
            time.sleep(silence)
            if ask_udp(client, port, f"after {silence}".encode()).split()[0] != first:
                return
    raise AssertionError("it was never forgotten")


def test_a_closed_backend_does_not_end_the_relay(relay: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
    port = relay("udp", free)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(300):  # a refusal and the next datagram are then ready at the same moment
            client.sendto(b"lost", ("127.0.0.1", port))
        time.sleep(0.5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(("127.0.0.1", free))
            late.settimeout(0.5)
            for _ in range(20):  # the first one may be told of an earlier one's failure instead of being sent
                client.sendto(b"found", ("127.0.0.1", port))
                try:
                    assert late.recv(100) in (b"lost", b"found")
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("nothing came through")


def test_a_container_that_cannot_be_reached_does_not_end_the_relay(relay: Any) -> None:
    port = relay(
        "udp", 9, idle=0.2, container="255.255.255.255"
    )  # a broadcast address takes a right that the relay does not ask for
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(8):
            client.sendto(b"lost", ("127.0.0.1", port))
            time.sleep(0.1)
