"""Beside another Docker and firewalld: dockerd changes no rule of the machine, and firewalld lets the engine's traffic out."""

from __future__ import annotations

import pytest

from tests.system.box import IMAGE, Box

FAR = """
ip netns add far && ip link add far0 type veth peer name far1 netns far
ip address add 198.51.100.1/24 dev far0 && ip link set far0 up
ip -n far address add 198.51.100.2/24 dev far1 && ip -n far link set far1 up && ip -n far link set lo up
ip -n far route add default via 198.51.100.1
mkdir -p /opt/far && echo far away >/opt/far/index.html
systemd-run --quiet --unit=far ip netns exec far python3 -m http.server 80 -d /opt/far
"""
PAGE = "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{}/', timeout=10).read())\""
# The rules of the other engine, and the zones of its bridges.
THEIRS = "iptables -t nat -S DOCKER; iptables -S DOCKER; firewall-cmd --info-zone=docker"


@pytest.fixture(scope="module")
def box(hosts):
    made: Box = hosts("firewalld", "trixie", dress="linux", setup="firewalld+other-docker")
    made.sh("docker rm -f crash-loop")
    made.sh(FAR)
    made.rules_before = made.sh(THEIRS)  # type: ignore[attr-defined]  # kept with the host
    made.setup()
    made.docker("load -q -i /opt/images/user-image.tar").expect(0)
    return made


def reaches(box: Box) -> bool:
    fetch = "sh -c 'printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | nc -w 5 198.51.100.2 80'"
    return "far away" in box.docker(f"run --rm {IMAGE} {fetch}").text


def test_the_other_engines_rules_and_ports_stay(box: Box) -> None:
    box.docker(f"run -d --name ours -p 9001:80 {IMAGE} sh -c 'echo ours >/www/index.html; httpd -f -h /www'").expect(0)
    box.docker("network create ours").expect(0)
    for line in ("true", "systemctl restart containai-docker"):
        box.sh(line)
        box.docker("start ours").expect(0)
        assert box.sh(THEIRS) == box.rules_before
        assert "served from a container" in box.sh(PAGE.format(9000))
        assert "ours" in box.sh(PAGE.format(9001))


@pytest.mark.parametrize("line", ["true", "firewall-cmd --reload", "systemctl restart firewalld"])
def test_traffic_gets_out(box: Box, line: str) -> None:
    box.sh(line)
    box.sh("/usr/local/libexec/containai/network check")
    assert reaches(box)
    assert "served from a container" in box.sh(PAGE.format(9000))


def test_a_link_that_was_taken_from_its_zone_is_named_and_mended(box: Box) -> None:
    # "trusted" until firewalld has read its folder again, and "containai" from then on
    zone = box.sh("firewall-cmd --get-zone-of-interface=cai0")
    box.sh(f"firewall-cmd --zone={zone} --remove-interface=cai0")
    assert "firewalld has cai0 in no zone" in box.sh("/usr/local/libexec/containai/network check", check=False)
    assert not reaches(box)
    box.sh("/usr/local/libexec/containai/network up")
    assert reaches(box)


@pytest.mark.slow
def test_an_uninstall_leaves_no_zone(box: Box) -> None:
    box.docker("rm -f ours")
    box.cai("uninstall", "--yes").expect(0)
    assert "cai0" not in box.sh("firewall-cmd --get-active-zones; ls /etc/firewalld/zones; iptables-save; ip link")
    assert not box.ok("test -e /etc/firewalld/zones/containai.xml")
    assert "served from a container" in box.sh(PAGE.format(9000))
    box.setup()  # for the tests that come after it in a shuffled order
