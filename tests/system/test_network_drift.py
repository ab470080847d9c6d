"""What others do to the machine's network after setup is named, and the command of doctor mends it."""

from __future__ import annotations

import pytest

from tests.system.box import IMAGE, Box

# A machine beyond the uplink, which only what is forwarded and masqueraded reaches: another namespace with a server.
FAR = """
ip netns add far && ip link add far0 type veth peer name far1 netns far
ip address add 198.51.100.1/24 dev far0 && ip link set far0 up
ip -n far address add 198.51.100.2/24 dev far1 && ip -n far link set far1 up && ip -n far link set lo up
mkdir -p /opt/far && echo far away >/opt/far/index.html
systemd-run --quiet --unit=far ip netns exec far python3 -m http.server 80 -d /opt/far
"""


@pytest.fixture(scope="module")
def box(hosts):
    made: Box = hosts("drift", dress="linux", state="converged")
    made.sh(FAR)
    return made


def reaches(box: Box) -> bool:
    """Whether a container gets a page from there."""
    fetch = "sh -c 'printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | nc -w 3 198.51.100.2 80'"
    return "far away" in box.docker(f"run --rm {IMAGE} {fetch}").text


CHECK, UP = "/usr/local/libexec/containai/network check", "/usr/local/libexec/containai/network up"
DRIFTS = {
    "forwarding": ("sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward is 0"),
    "forwarding-of-the-link": ("sysctl -qw net.ipv4.conf.cai0.forwarding=0", "net.ipv4.conf.cai0.forwarding is 0"),
    "forwarding-of-the-namespace": ("nsenter --net=/run/netns/containai sysctl -qw net.ipv4.ip_forward=0", "in the namespace"),
    "proxy-arp": ("sysctl -qw net.ipv4.conf.cai0.proxy_arp=0", "proxy_arp is 0"),
    "rules": ("nft flush ruleset", "a firewall rule is missing or changed"),
    "policy": ("iptables -P FORWARD ACCEPT", "FORWARD policy is ACCEPT"),
    "relay": ("systemctl stop containai-relay", "containai-relay.service does not run"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_named_and_the_command_of_doctor_mends_it(box: Box, name: str) -> None:
    line, words = DRIFTS[name]
    box.sh(CHECK)
    box.sh(line)
    assert words in box.sh(CHECK, check=False)
    box.sh(UP)
    box.sh(CHECK)
    assert reaches(box)
