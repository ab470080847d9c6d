"""The relay of names and of dockerd's localhost, with real sockets on this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.docker_engine.network.programs import load

QUESTION = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x04host\x00\x00\x01\x00\x01"
ORIGINAL = struct.Struct("!HH4s8x")


def answer(code: int, mark: bytes = b"") -> bytes:
    return QUESTION[:2] + bytes([0x81, 0x80 | code]) + QUESTION[4:] + mark


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("relay")
    monkeypatch.setattr(module, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(module, "SERVER_SECONDS", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(module, "DNS_PORT", free.getsockname()[1])
    return module


class Server(asyncio.DatagramProtocol):
    """A server that says the same to every question, or nothing."""

    def __init__(self, says: bytes | None) -> None:
        self.says, self.transport = says, None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.says is not None:
            self.transport.sendto(b"??" + self.says[2:], addr)  # a stray one first: it belongs to another question
            self.transport.sendto(self.says, addr)


def ask(relay: ModuleType, **servers: bytes | None) -> bytes | None:
    """Ask 127.0.0.2, 127.0.0.3, ... in this order."""

    async def run() -> bytes | None:
        loop = asyncio.get_running_loop()
        hosts = [f"127.0.0.{number}" for number in range(2, 2 + len(servers))]
        made = [
            await loop.create_datagram_endpoint(lambda says=says: Server(says), local_addr=(host, relay.DNS_PORT))
            for host, (name, says) in zip(hosts, servers.items(), strict=True)
            if name != "closed"
        ]
        try:
            return await relay.ask_all(hosts, QUESTION)
        finally:
            for transport, _ in made:
                transport.close()

    return asyncio.run(run())


CASES: dict[str, tuple[dict[str, bytes | None], bytes | None]] = {
    "the first that answers": ({"a": answer(0, b"a"), "b": answer(0, b"b")}, answer(0, b"a")),
    "a name that is not there is an answer": ({"a": answer(3), "b": answer(0, b"b")}, answer(3)),
    "after one that is silent": ({"a": None, "b": answer(0, b"b")}, answer(0, b"b")),
    "after one that nobody serves": ({"closed": None, "b": answer(0, b"b")}, answer(0, b"b")),
    "after one that fails": ({"a": answer(2), "b": answer(0, b"b")}, answer(0, b"b")),
    "the failure, if all fail": ({"a": answer(5), "b": None}, answer(5)),
    "nothing, if nobody answers": ({"a": None, "b": None}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_servers_are_asked_in_their_order(relay: ModuleType, name: str) -> None:
    servers, expected = CASES[name]
    assert ask(relay, **servers) == expected


def test_where_nobody_answers_nobody_has_to_wait(relay: ModuleType) -> None:
    assert relay.failure(QUESTION) == QUESTION[:2] + b"\x81\x82" + QUESTION[4:]


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ["127.0.0.1"]),
        ("# nameserver 9.9.9.9\n;nameserver 9.9.9.9\nsearch corp\noptions ndots:2\n", ["127.0.0.1"]),
        ("nameserver 127.0.0.53\n", ["127.0.0.53"]),
        ("nameserver\t10.1.1.1 # office\n  nameserver fd00::1\nnameserver name\nnameserver\n", ["10.1.1.1", "fd00::1"]),
        ("nameserver fe80::1%eth0\n", ["fe80::1%eth0"]),
    ],
)
def test_the_servers_of_a_resolv_conf(relay: ModuleType, text: str, servers: list[str]) -> None:
    assert relay.nameservers(text) == servers


def test_what_dockerd_cannot_ask_by_itself(relay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "of_loopback", lambda: {"127.0.0.1", "10.255.255.254", "::1"})
    servers = ["127.0.0.53", "10.255.255.254", "::1", "fd00::1", "fe80::1%eth0", "192.168.1.1"]
    assert relay.out_of_reach(servers) == {"127.0.0.53", "10.255.255.254", "::1", "fd00::1"}


def test_a_resolv_conf_that_changes_is_read_again(relay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "of_loopback", set)
    file, machine = Path(relay.RESOLV_CONF), relay.Machine()
    assert machine.look() == ["127.0.0.1"]
    file.write_text("nameserver 10.0.0.1\n")
    assert machine.look() == ["10.0.0.1"]
    other = file.with_suffix(".new")
    other.write_text("nameserver 10.0.0.2\n")
    other.replace(file)
    assert machine.look() == ["10.0.0.2"]
    file.unlink()
    assert machine.look() == ["10.0.0.2"]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"got " + await reader.read())
    writer.close()


def carried(
    relay: ModuleType, targets: Callable[[int], list[tuple[str, int]]], use: Callable[..., Coroutine[Any, Any, Any]]
) -> Any:
    async def run() -> Any:
        backend = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = backend.sockets[0].getsockname()[1]
        front = await asyncio.start_server(relay.Connections(lambda _: targets(port)), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", front.sockets[0].getsockname()[1])
        try:
            return await asyncio.wait_for(use(reader, writer), 20)
        finally:
            writer.close()
            front.close()
            backend.close()
            await asyncio.sleep(0.05)  # the servers' sides end, too

    return asyncio.run(run())


async def half_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"x" * 300000)
    writer.write_eof()
    return await reader.read()


def test_a_connection_goes_to_the_first_target_that_listens(relay: ModuleType) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()
        assert carried(relay, lambda port: [dead, ("127.0.0.1", port)], half_closed) == b"got " + b"x" * 300000


@pytest.mark.parametrize("targets", [[], [("127.0.0.1", 1)]])
def test_a_connection_to_nobody_is_reset(relay: ModuleType, targets: list[tuple[str, int]]) -> None:
    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return await reader.read()

    with pytest.raises(ConnectionResetError):
        carried(relay, lambda _: targets, use)


class Accepted:
    """A connection, with what the kernel says of where it was to go."""

    def __init__(self, host: str, port: int) -> None:
        self.raw = ORIGINAL.pack(socket.AF_INET, port, socket.inet_aton(host))

    def getsockopt(self, *_: int) -> bytes:
        if not self.raw[2:4].strip(b"\0"):
            raise OSError("no such entry")
        return self.raw


@pytest.mark.parametrize(
    ("host", "port", "targets"),
    [
        ("127.0.0.1", 5000, [("127.0.0.1", 5000), ("::1", 5000)]),
        ("127.0.1.1", 3128, [("127.0.1.1", 3128), ("::1", 3128)]),
        ("127.213.77.1", 213, []),
        ("10.0.0.1", 80, []),
        ("127.0.0.1", 0, []),
    ],
)
def test_where_dockerd_meant_to_go(relay: ModuleType, host: str, port: int, targets: list[tuple[str, int]]) -> None:
    assert relay.localhost_targets(Accepted(host, port)) == targets


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
"""
TABLE6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: B80D0120000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: short
"""


@pytest.mark.skipif(sys.byteorder == "big", reason="the tables are written as a little-endian kernel does")
def test_what_listens_is_read_from_the_kernels_tables(relay: ModuleType) -> None:
    assert relay.ports_in(TABLE, relay.LISTENS) == {("127.0.0.1", 8080), ("0.0.0.0", 22)}
    assert relay.ports_in(TABLE6, relay.LISTENS) == {("::", 80), ("2001:db8::1", 8080)}


def free(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_bind(kind: int, port: int, host: str = "127.0.0.1") -> bool:
    """As dockerd tries it: with SO_REUSEADDR for TCP."""
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_of_the_machine_is_taken_in_the_engines_namespace_as_long_as_it_is_there(
    relay: ModuleType, kind: int
) -> None:
    port = free(kind)
    there = {(kind, "127.0.0.1", port)}
    ports = relay.Ports(lambda: set(there), contextlib.nullcontext)
    for _ in range(2):
        ports.follow()
        assert not can_bind(kind, port)
        assert not can_bind(kind, port, "0.0.0.0")
    there.clear()
    ports.follow()
    assert can_bind(kind, port)


def test_a_port_that_the_engine_publishes_is_left_to_it(relay: ModuleType) -> None:
    """A container that is started again must find its port, although its old proxy still listens on the machine."""
    kind = socket.SOCK_STREAM
    with socket.socket() as dockerds:
        dockerds.bind(("127.0.0.1", 0))
        there = {(kind, "127.0.0.1", dockerds.getsockname()[1])}
        ports = relay.Ports(lambda: set(there), contextlib.nullcontext)
        ports.follow()
    ports.follow()
    assert ports.held == {}
    there_again = there.copy()
    there.clear()
    ports.follow()
    there.update(there_again)
    ports.follow()
    assert set(ports.held) == there
    ports.release()
    assert ports.held == {}


def test_no_more_ports_are_held_than_there_is_room_for(relay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_PORTS", 3)
    kind = socket.SOCK_DGRAM
    there = {(kind, "127.0.0.1", free(kind)) for _ in range(8)}
    ports = relay.Ports(lambda: there, contextlib.nullcontext)
    ports.follow()
    ports.follow()
    assert len(ports.held) == 3
    ports.release()
