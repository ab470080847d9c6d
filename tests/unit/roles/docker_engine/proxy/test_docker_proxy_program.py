"""The whole program, as dockerd starts it, between two real network namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.docker_engine.proxy.client import PROGRAM, ask_udp, connect, end, everything

# "The machine" is PID 1 of a process namespace of its own, in this test's network namespace.
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
    assert process.wait(60) == 0
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
    assert process.wait(60) == 0


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_port_in_use_is_said_on_descriptor_3(world: Any, proxy: Any, proto: str) -> None:
    holder = world()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if proto == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        process = proxy(holder, *arguments(proto, port, 7000))
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == f"1\nlisten {proto} 127.0.0.1:{port}: bind: address already in use".encode()


def test_an_address_that_is_not_the_machines_is_said(world: Any, proxy: Any) -> None:
    process = proxy(world(), *arguments("tcp", free_port(), 7000, host="192.0.2.1"))
    out, _ = process.communicate(timeout=60)
    assert out.startswith(b"1\nlisten tcp 192.0.2.1:")
    assert b"cannot assign requested address" in out


def test_another_protocol_is_said(world: Any, proxy: Any) -> None:
    process = proxy(world(), *arguments("sctp", free_port(), 7000))
    out, _ = process.communicate(timeout=60)
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
