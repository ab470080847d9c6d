"""What others do to the machine's network after setup is named, and the command of doctor mends it."""

from __future__ import annotations

import json
import re

import pytest

from tests.hosts import host
from tests.system.box import IMAGE, Box

DAEMON_JSON = "/etc/docker/daemon.json"
CHECK, UP = "/usr/local/libexec/containai/network check", "/usr/local/libexec/containai/network up"

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
    made.sh(FAR + UP)  # the relay makes the engine follow the machine's new network too, a moment later
    return made


def reaches(box: Box) -> bool:
    """Whether a container gets a page from there."""
    fetch = "sh -c 'printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | nc -w 3 198.51.100.2 80'"
    return "far away" in box.docker(f"run --rm {IMAGE} {fetch}").text


# The relay puts the rules back by itself when a network changes: it must not, between the drift and the look at it.
QUIET = "systemctl stop containai-relay"
DRIFTS = {
    "forwarding": ("sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward is 0"),
    "forwarding-of-the-link": ("sysctl -qw net.ipv4.conf.cai0.forwarding=0", "net.ipv4.conf.cai0.forwarding is 0"),
    "forwarding-of-the-namespace": ("nsenter --net=/run/netns/containai sysctl -qw net.ipv4.ip_forward=0", "in the namespace"),
    "proxy-arp": ("sysctl -qw net.ipv4.conf.cai0.proxy_arp=0", "proxy_arp is 0"),
    "rules": (f"{QUIET} && nft flush ruleset", "a firewall rule is missing or changed"),
    "policy": (f"{QUIET} && iptables -P FORWARD ACCEPT", "FORWARD policy is ACCEPT"),
    "relay": (QUIET, "containai-relay.service does not run"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_named_and_the_command_of_doctor_mends_it(box: Box, name: str) -> None:
    line, words = DRIFTS[name]
    box.sh(f"{UP} && {CHECK}")
    box.sh(line)
    assert words in box.sh(CHECK, check=False)
    box.sh(UP)
    box.sh(CHECK)
    assert reaches(box)


def test_an_ordinary_user_sees_that_nothing_is_forwarded_and_setup_mends_it(box: Box) -> None:
    box.sh("sysctl -qw net.ipv4.ip_forward=0")
    found = box.health()
    assert {part for part, finding in found.items() if finding["status"] == "fail"} == {"network"}
    assert found["network"]["found"] == "net.ipv4.ip_forward is 0"
    assert found["egress"]["found"].startswith("open: ")
    assert "network namespace: net.ipv4.ip_forward is 0" in box.setup().text
    assert reaches(box)


# As on a server whose networks are all set up alike; not the host's own ways out, and not the page far away.
EVERY_LINK = "[Match]\\nName=!eth0 !far0\\n[Network]\\nDHCP=yes\\n"
OURS = "/run/systemd/network/00-containai.network"


@pytest.mark.slow
def test_a_networkd_that_manages_every_link_leaves_ours_alone(box: Box) -> None:
    address = box.sh("ip -br -4 address show cai0").split()[2]
    box.sh(f"printf '{EVERY_LINK}' >/etc/systemd/network/50-all.network && systemctl start systemd-networkd")
    try:
        box.sh("systemctl restart containai-network containai-docker")
        box.sh("networkctl reconfigure cai0; systemctl restart systemd-networkd")
        assert "unmanaged" in box.sh("networkctl --no-legend --no-pager list cai0")
        box.sh(CHECK)
        assert reaches(box)
        box.sh(f"rm {OURS}; networkctl reload; networkctl reconfigure cai0")
        box.sh("for i in $(seq 50); do networkctl list cai0 | grep -q configuring && exit 0; sleep 0.1; done; exit 1")
        assert box.health()["network"]["found"] == "the address of cai0 is missing"
        box.sh(f"ip address add {address} dev cai0")
        assert "systemd-networkd manages cai0" in box.sh(CHECK, check=False)
        box.sh(UP)
        box.sh(CHECK)
        assert reaches(box)
    finally:
        box.sh("rm /etc/systemd/network/50-all.network; systemctl stop systemd-networkd.socket systemd-networkd")


def test_the_firewall_of_a_desktop_may_be_reloaded(box: Box) -> None:
    for line in ("ufw reload", "ufw disable && ufw --force enable", "ufw --force reset && ufw --force enable"):
        box.sh(line)
        assert reaches(box), line
        box.sh(UP)  # the policy of FORWARD may have been given back by ufw
        assert reaches(box), line
        assert box.sh("iptables -S FORWARD | head -n 1") == "-P FORWARD DROP"


def published(box: Box) -> bool:
    """Whether a published port answers on the machine's localhost."""
    box.docker(f"run -d --name published -p 9010:80 {IMAGE} httpd -f -h /www").expect(0)
    page = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9010/', timeout=10).read())"
    found = box.sh(f'python3 -c "{page}"', check=False)
    box.docker("rm -f published").expect(0)
    return "served from a container" in found


def rules(box: Box) -> str:
    """All rules of the machine, without what they counted."""
    return re.sub(r"counter packets \d+ bytes \d+", "", box.sh("nft list ruleset"))


@pytest.mark.slow
def test_dockerds_own_nftables_backend(box: Box) -> None:
    """The user's own key in daemon.json; dockerd leaves forwarding to others then."""
    before = rules(box)
    box.sh(f"cp -p {DAEMON_JSON} /opt/daemon.json.kept")
    document = json.loads(box.sh(f"cat {DAEMON_JSON}"))
    box.write(DAEMON_JSON, json.dumps({**document, "firewall-backend": "nftables"}))
    box.sh("systemctl restart containai-docker")
    try:
        assert box.docker("info --format '{{.FirewallBackend.Driver}}'").out.strip() == "nftables"
        box.docker("network create nft").expect(0)
        assert reaches(box)
        assert published(box)
        box.docker("network rm nft").expect(0)
        assert rules(box) == before
        assert {part for part, finding in box.health().items() if finding["status"] == "fail"} == set()
        box.converged()
    finally:
        box.sh(f"cp -p /opt/daemon.json.kept {DAEMON_JSON} && systemctl restart containai-docker")
    assert reaches(box)
    assert rules(box) == before


@pytest.mark.slow
def test_a_machine_of_legacy_iptables(box: Box) -> None:
    box.sh("ufw disable && update-alternatives --set iptables /usr/sbin/iptables-legacy")
    try:
        box.sh("systemctl restart containai-network containai-docker")
        box.sh(CHECK)
        assert "CONTAINAI" in box.sh("iptables-legacy -S FORWARD")
        assert reaches(box)
        assert published(box)
        box.converged()
    finally:
        box.sh("systemctl stop containai-docker containai-network")
        box.sh("update-alternatives --auto iptables && ufw --force enable && systemctl start containai-docker")
    box.sh(CHECK)
    assert reaches(box)


def test_a_network_that_comes_late_is_not_given_to_containers(box: Box) -> None:
    box.sh(
        "ip link add late0 type veth peer name late1 && ip link set late1 up && ip address add 172.18.5.1/16 dev late0 && ip link set late0 up"
    )
    box.sh(
        "for i in $(seq 50); do nsenter --net=/run/netns/containai ip route | grep -q ^172.18.0.0/16 && exit 0; sleep 0.1; done; exit 1"
    )
    box.docker("network create other").expect(0)
    assert "172.18." not in box.docker("network inspect -f '{{(index .IPAM.Config 0).Subnet}}' other").out
    box.docker("network rm other").expect(0)
    box.sh("ip link delete late0")
    box.sh(
        "for i in $(seq 50); do nsenter --net=/run/netns/containai ip route | grep -q ^172.18.0.0/16 || exit 0; sleep 0.1; done; exit 1"
    )


@pytest.mark.slow
def test_a_boot_at_which_networkd_brings_a_network_late(hosts) -> None:
    """On a machine whose links are all networkd's: it leaves the engine's link alone, and containers get no addresses of the late network."""
    box: Box = hosts("late-boot", dress="linux", state="converged")
    box.write("/etc/systemd/network/10-late.netdev", "[NetDev]\nName=late0\nKind=veth\n[Peer]\nName=late1\n")
    box.write("/etc/systemd/network/20-late.network", "[Match]\nName=late0\n[Network]\nAddress=172.18.5.1/16\n")
    box.write("/etc/systemd/network/50-all.network", "[Match]\nName=!eth0 !far0\n[Network]\nDHCP=yes\n")
    # Late: after the engine, which is as late as can be.
    late = "[Unit]\nAfter=containai-docker.service\n[Service]\nType=oneshot\nExecStart=systemctl start --no-block systemd-networkd\n[Install]\nWantedBy=multi-user.target\n"
    box.write("/etc/systemd/system/late.service", late)
    box.sh("systemctl daemon-reload && systemctl enable late.service 2>/dev/null")
    host.reboot(box.name)
    box.sh(
        "for i in $(seq 300); do networkctl list late0 | grep -q configured && systemctl is-active -q containai-docker && exit 0; sleep 0.2; done; exit 1"
    )
    assert "unmanaged" in box.sh("networkctl --no-legend --no-pager list cai0")
    box.sh(
        "for i in $(seq 50); do nsenter --net=/run/netns/containai ip route | grep -q ^172.18.0.0/16 && exit 0; sleep 0.1; done; exit 1"
    )
    box.docker("network create other").expect(0)
    assert "172.18." not in box.docker("network inspect -f '{{(index .IPAM.Config 0).Subnet}}' other").out
    box.sh(CHECK)
    box.sh(FAR + UP)
    assert reaches(box)


@pytest.mark.slow
def test_a_full_tunnel_leaves_the_link_and_networks_to_choose_from(box: Box) -> None:
    box.sh(
        "ip link add wg0 type veth peer name wgp && ip link set wgp up && ip link set wg0 up"
        " && ip route add 0.0.0.0/1 dev wg0 && ip route add 128.0.0.0/1 dev wg0 && ip route add 10.0.0.0/8 dev wg0"
    )
    try:
        box.cai("setup", "--dry-run").expect(0)
        box.sh("systemctl restart containai-docker")
        box.docker("network create tunnelled").expect(0)
        box.docker("network rm tunnelled").expect(0)
        assert reaches(box)
    finally:
        box.sh("ip link delete wg0")


@pytest.mark.slow
def test_a_link_whose_network_is_taken_moves_by_itself(box: Box) -> None:
    box.cai("setup", "-e", "docker_engine_link_subnet=127.5.0.0/30").expect(
        3, "loopback space", "docker_engine_link_subnet=10.213.77.0/30"
    )
    box.sh(
        "ip link add lan0 type veth peer name lan1 && ip link set lan1 up && ip address add 10.213.1.1/16 dev lan0 && ip link set lan0 up"
    )
    box.cai("setup", "-e", "docker_engine_link_subnet=10.213.77.0/30").expect(
        3, "in use by lan0", "docker_engine_link_subnet=172.30.213.76/30"
    )
    box.setup()
    assert "172.30.213.77/30" in box.sh("ip -br -4 address show cai0")
    assert reaches(box)
    box.sh("ip link delete lan0")  # it stays where it is: see the last test


# Fails while one of the ports can still be bound.
IS_HELD = """
import socket, sys
for port in sys.argv[1:]:
    try:
        socket.socket().bind(("127.0.0.1", int(port)))
    except OSError:
        continue
    sys.exit(1)
"""


def test_ports_that_the_machine_has_are_skipped(box: Box) -> None:
    taken = (32768, 32769, 32770, 18080)
    ports = " ".join(map(str, taken))
    for port in taken:
        box.sh(f"systemd-run --quiet --unit=taken-{port} python3 -m http.server {port} --bind 127.0.0.1")
    box.sh(
        f"for i in $(seq 100); do nsenter --net=/run/netns/containai python3 -c '{IS_HELD}' {ports} && exit 0; sleep 0.1; done; exit 1"
    )
    for run in ("-P --expose 80", "-p 18080-18083:80"):
        box.docker(f"run -d --name served {run} {IMAGE} httpd -f -h /www").expect(0)
        port = box.docker("port served 80/tcp").out.split()[0].rpartition(":")[2]
        assert int(port) not in taken
        assert "served from a container" in box.sh(
            f"python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/').read())\""
        )
        box.docker("restart -t 0 served").expect(0)
        box.docker("rm -f served").expect(0)
    refused = box.docker(f"run --rm -p 18080:80 {IMAGE} true")
    assert "address already in use" in refused.text
    box.sh(f"systemctl stop {' '.join(f'taken-{port}' for port in taken)}")
    assert "sctp" in box.docker(f"run --rm -p 18090:80/sctp {IMAGE} true").text.lower()
