"""Resolvers for a test host: a small server that tells by its answer which one was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.system.box import Box

# Every name below corp.test has one address, which the server was started with; any other name is unknown to it.
SERVER = r"""
import socket, struct, sys
listen, answer = sys.argv[1:]
sock = socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((listen, 53))
while True:
    data, client = sock.recvfrom(65535)
    end = data.index(b"\0", 12) + 5
    name, kind = data[12:end - 4], struct.unpack("!H", data[end - 4:end - 2])[0]
    known = name.lower().endswith(b"\4corp\4test\0")
    records = 1 if known and kind == 1 else 0
    header = data[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, records, 0, 0)
    body = struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(answer) if records else b""
    sock.sendto(header + data[12:end] + body, client)
"""


@contextlib.contextmanager
def server(box: Box, listen: str, answer: str) -> Iterator[None]:
    """A server on an address of the machine, which answers `answer` for every name below corp.test."""
    unit = f"resolver-{answer.replace('.', '-')}"
    box.write("/opt/resolver.py", SERVER)
    box.sh(f"systemd-run --quiet --unit={unit} --collect python3 -IS /opt/resolver.py {listen} {answer}")
    box.sh(f"for i in $(seq 100); do ss -Hlnu | grep -qF '{listen}' && exit 0; sleep 0.1; done; exit 1")
    try:
        yield
    finally:
        box.sh(f"systemctl stop {unit}", check=False)


@contextlib.contextmanager
def resolv_conf(box: Box, text: str) -> Iterator[None]:
    """Another /etc/resolv.conf, as a VPN client puts it there and takes it back."""
    box.sh("cp -P /etc/resolv.conf /etc/resolv.conf.kept")
    box.write("/etc/resolv.conf.new", text)
    box.sh("mv /etc/resolv.conf.new /etc/resolv.conf")
    try:
        yield
    finally:
        box.sh("mv /etc/resolv.conf.kept /etc/resolv.conf")
