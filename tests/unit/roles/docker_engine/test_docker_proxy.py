"""The engine's docker-proxy: the relay itself, and the whole program between two real network namespaces."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.conftest import ROLES

PROGRAM = ROLES / "docker_engine" / "files" / "docker-proxy"
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


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


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

    yield start
    for process in running:
        assert process.poll() is None, "the relay ended by itself"
        end(process)


class Backend:
    """A TCP server that serves each connection with a function."""

    def __init__(self, serve: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.serve = self.listener.getsockname()[1], serve
        threading.Thread(target=self.accept, daemon=True).start()

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
        one.listener.close()


def everything(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


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
    late = Backend.__new__(Backend)
    late.listener = socket.create_server(("127.0.0.1", free))
    late.port, late.serve = free, lambda client: client.sendall(b"now")
    threading.Thread(target=late.accept, daemon=True).start()
    with connect(port) as client:
        assert everything(client) == b"now"
    late.listener.close()


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


def ask_udp(client: socket.socket, port: int, data: bytes) -> bytes:
    """Ask until an answer comes: the first datagram may be gone before the relay reads."""
    client.settimeout(0.5)
    for _ in range(40):
        client.sendto(data, ("127.0.0.1", port))
        try:
            answer, address = client.recvfrom(65535)
        except (TimeoutError, ConnectionRefusedError):
            continue
        assert address == ("127.0.0.1", port)
        return answer
    raise AssertionError("no answer")


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
        first = ask_udp(client, port, b"x").split()[0]
        time.sleep(1.2)
        assert ask_udp(client, port, b"x").split()[0] != first


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


# The whole program. "The machine" is PID 1 of a process namespace of its own, in this test's network namespace.

WORLD = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns
ip netns add containai
ip -n containai link set lo up
if [ -n "$1" ]; then
    for path in /usr/bin /usr/libexec/docker /usr/sbin /usr/local/bin; do
        [ ! -e $path/docker-proxy ] || { mount --bind "$1" $path/docker-proxy; found=1; }
    done
    [ -n "$found" ] || { mount -t tmpfs tmpfs /usr/local/bin; cp "$1" /usr/local/bin/docker-proxy; }
fi
echo ready
exec sleep 600
"""


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """Make a network namespace `containai`, in a mount namespace of its own; world(real proxy) gives a holder's PID."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    if any(shutil.which(name) is None for name in ("unshare", "ip", "nsenter")):
        pytest.skip("unshare, ip or nsenter is missing")
    running = []

    def start(real: str = "") -> int:
        argv = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
            "sh",
            "-c",
            WORLD,
            "sh",
            real,
        ]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        if process.stdout.readline() != "ready\n":
            pytest.skip(f"no namespaces can be made here: {process.communicate()[1].strip()}")
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())

    yield start
    for process in running:
        end(process)


def network(holder: int) -> str:
    return f"--net=/proc/{holder}/root/run/netns/containai"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def proxy(tmp_path: Path) -> Any:
    """Start the program as dockerd does, in the engine's namespace, with descriptor 3 on its standard output."""
    running = []
    program = tmp_path / "docker-proxy"
    shutil.copy(PROGRAM, program)
    program.chmod(0o755)

    def start(holder: int, *argv: str) -> subprocess.Popen:
        command = [
            "nsenter",
            f"--mount=/proc/{holder}/ns/mnt",
            network(holder),
            "sh",
            "-c",
            'exec "$@" 3>&1 4</dev/null',
            "sh",
            sys.executable,
            "-IS",
        ]
        process = subprocess.Popen([*command, str(program), *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(process)
        return process

    yield start
    for process in running:
        end(process)


def arguments(proto: str, port: int, container_port: int, host: str = "127.0.0.1") -> list[str]:
    return [
        "-proto",
        proto,
        "-host-ip",
        host,
        "-host-port",
        str(port),
        "-container-ip",
        "127.0.0.1",
        "-container-port",
        str(container_port),
    ]


IN_NAMESPACE = """
import socket, sys
if sys.argv[1] == "tcp":
    listener = socket.create_server(("127.0.0.1", 7000))
    print("ready", flush=True)
    client, _ = listener.accept()
    data = b"".join(iter(lambda: client.recv(1000), b""))
    client.sendall(b"inside: " + data)
else:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 7000))
    print("ready", flush=True)
    while True:
        data, client = server.recvfrom(1000)
        server.sendto(b"inside: " + data, client)
"""


@pytest.fixture
def container() -> Any:
    """A server on port 7000 of the engine's namespace."""
    running = []

    def start(holder: int, proto: str) -> None:
        process = subprocess.Popen(
            ["nsenter", network(holder), sys.executable, "-c", IN_NAMESPACE, proto],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append(process)
        assert process.stdout.readline() == b"ready\n"

    yield start
    for process in running:
        end(process)


def test_a_port_of_the_machine_reaches_into_the_namespace(world: Any, proxy: Any, container: Any) -> None:
    holder, port = world(), free_port()
    container(holder, "tcp")
    process = proxy(holder, *arguments("tcp", port, 7000))
    assert process.stdout.read(2) == b"0\n"
    with connect(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"inside: hello"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_datagrams_reach_into_the_namespace(world: Any, proxy: Any, container: Any) -> None:
    holder, port = world(), free_port(socket.SOCK_DGRAM)
    container(holder, "udp")
    process = proxy(holder, *arguments("udp", port, 7000))
    assert process.stdout.read(2) == b"0\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        assert ask_udp(client, port, b"hello") == b"inside: hello"
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_port_in_use_is_said_on_descriptor_3(world: Any, proxy: Any, proto: str) -> None:
    holder = world()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if proto == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        process = proxy(holder, *arguments(proto, port, 7000))
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == f"1\nlisten {proto} 127.0.0.1:{port}: bind: address already in use".encode()


def test_an_address_that_is_not_the_machines_is_said(world: Any, proxy: Any) -> None:
    process = proxy(world(), *arguments("tcp", free_port(), 7000, host="192.0.2.1"))
    out, _ = process.communicate(timeout=20)
    assert out.startswith(b"1\nlisten tcp 192.0.2.1:")
    assert b"cannot assign requested address" in out


def test_another_protocol_is_said(world: Any, proxy: Any) -> None:
    process = proxy(world(), *arguments("sctp", free_port(), 7000))
    out, _ = process.communicate(timeout=20)
    assert out.startswith(b"1\n")
    assert b"sctp" in out


def test_the_newer_protocol_hands_the_socket_to_the_real_proxy(world: Any, proxy: Any, tmp_path: Path) -> None:
    """-use-listen-fd: the real docker-proxy gets our listening socket as descriptor 4 and the same arguments."""
    real = tmp_path / "real-proxy"
    real.write_text(
        f"#!{sys.executable} -IS\nimport os, socket, sys\nlistener = socket.socket(fileno=4)\n"
        "os.write(3, b'0\\n')\nclient, _ = listener.accept()\nclient.sendall(' '.join(sys.argv[1:]).encode())\n"
    )
    real.chmod(0o755)
    holder, port = world(str(real)), free_port()
    given = [*arguments("tcp", port, 7000), "-use-listen-fd"]
    process = proxy(holder, *given)
    assert process.stdout.read(2) == b"0\n", process.stderr.read()
    with connect(port) as client:
        assert everything(client).decode() == " ".join(given)


def test_wrong_arguments_end_it() -> None:
    result = subprocess.run([sys.executable, "-IS", str(PROGRAM), "-proto", "tcp"], capture_output=True, check=False)
    assert result.returncode == 2
    assert b"-host-port" in result.stderr
