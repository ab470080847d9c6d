"""Resolvers for a test host: dnsmasq and unbound, each with one answer, by which a test tells who was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.system.box import Box

PACKAGES = "dnsmasq-base unbound"
# Every name below corp.test has one address, and any other name is unknown.
DNSMASQ = "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --bind-interfaces --listen-address={listen} --address=/corp.test/{answer}"
UNBOUND = """
server:
  interface: {listen}
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  pidfile: ""
  local-zone: "corp.test." redirect
  local-data: "corp.test. A {answer}"
"""


def install(box: Box) -> None:
    """Install both, and keep the services of the packages off."""
    box.sh("ln -s /dev/null /etc/systemd/system/unbound.service; systemctl daemon-reload")
    box.sh(f"DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends {PACKAGES} >/dev/null")


@contextlib.contextmanager
def server(box: Box, listen: str, answer: str, program: str = "dnsmasq") -> Iterator[None]:
    """A server on an address of the machine, which answers `answer` for every name below corp.test."""
    unit = f"resolver-{answer.replace('.', '-')}"
    box.write("/opt/unbound.conf", UNBOUND.format(listen=listen, answer=answer))
    line = "unbound -d -c /opt/unbound.conf" if program == "unbound" else DNSMASQ.format(listen=listen, answer=answer)
    box.sh(f"systemd-run --quiet --unit={unit} --collect {line}")
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
