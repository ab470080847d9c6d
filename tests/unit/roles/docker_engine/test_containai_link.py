"""The link between host and engine gets a network that nothing else has, whatever stands in the table of routes."""

from __future__ import annotations

import ipaddress
import sys
import time
from typing import Any

import pytest
from ansible.module_utils import containai_link as link
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_engine_settings import link_of

from tests.unit.roles.conftest import Commands

FIRST, SECOND = link.CANDIDATES[:2]


def route(dst: str, dev: str = "eth0", **more: Any) -> dict[str, Any]:
    return {"dst": dst, "dev": dev, "flags": [], **more}


def device(name: str, *addresses: str) -> dict[str, Any]:
    interfaces = map(ipaddress.IPv4Interface, addresses)
    return {"ifname": name, "addr_info": [{"local": str(i.ip), "prefixlen": i.network.prefixlen} for i in interfaces]}


# What `ip -json` says, and whether the first candidate can be had all the same.
TABLES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], bool]] = {
    "nothing": ([], [], True),
    "a default route": ([route("default", gateway="192.168.1.1")], [device("eth0", "192.168.1.5/24")], True),
    "the link itself": ([route(FIRST, "cai0", protocol="kernel", scope="link")], [device("cai0", "10.213.77.1/30")], True),
    "on-link halves of everything": ([route("0.0.0.0/1", "wg0", scope="link"), route("128.0.0.0/1", "wg0", scope="link")], [], True),
    "10/8 on a tunnel": ([route("10.0.0.0/8", "wg0", scope="link")], [device("wg0", "10.8.0.5/32")], True),
    "10/8 through a gateway": ([route("10.0.0.0/8", gateway="192.168.1.1")], [], True),
    "a host in 10/8": ([route("10.0.0.0/8", protocol="kernel", scope="link")], [device("eth0", "10.8.0.5/8")], False),
    "a host in 10/8 without its route": ([], [device("eth0", "10.8.0.5/8")], False),
    "a more specific route": ([route("10.213.77.2", gateway="192.168.1.1")], [], False),
    "the same network elsewhere": ([route(FIRST, gateway="192.168.1.1")], [], False),
    "a multipath route": ([{"dst": FIRST, "nexthops": [{"gateway": "192.168.1.1", "dev": "eth0"}], "flags": []}], [], False),
    "a blackhole of the same": ([{"type": "blackhole", "dst": FIRST, "flags": []}], [], False),
    "a wide blackhole": ([{"type": "blackhole", "dst": "10.0.0.0/8", "flags": []}], [], True),
    "multicast": ([{"type": "multicast", "dst": "224.0.0.0/4", "dev": "eth0", "flags": []}], [], True),
    "metrics and nhid": ([route("10.213.0.0/16", gateway="192.168.1.1", metric=100, nhid=7)], [], True),
    "no device at all": ([{"dst": "192.0.2.0/24", "flags": []}], [{"ifname": "eth0"}], True),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_free_network_is_chosen(name: str) -> None:
    routes, links, free = TABLES[name]
    assert link_of("", routes, links)["subnet"] == (FIRST if free else SECOND)
    if free:
        assert link_of(FIRST, routes, links) == {
            "subnet": FIRST,
            "prefix": 30,
            "machine": "10.213.77.1",
            "engine": "10.213.77.2",
        }
    else:
        with pytest.raises(Failure) as refusal:
            link_of(FIRST, routes, links)
        assert f"`cai setup -e docker_engine_link_subnet={SECOND}`" in refusal.value.hint
        assert refusal.value.kind == "precondition"


def test_a_link_that_was_moved_stays_where_it_is() -> None:
    assert link_of("", [], [device("cai0", "172.30.213.77/30")])["subnet"] == SECOND
    assert link_of("", [], [device("cai0", "10.9.9.1/30")])["subnet"] == FIRST  # chosen by a setting that is gone
    assert link_of("", [], [device("cai0")])["subnet"] == FIRST


def test_where_every_candidate_is_taken_a_free_network_is_named() -> None:
    links = [device(f"eth{n}", f"{ipaddress.IPv4Network(net)[1]}/16") for n, net in enumerate(link.CANDIDATES)]
    with pytest.raises(Failure) as refusal:
        link_of("", [], links)
    named = refusal.value.hint.split("docker_engine_link_subnet=")[1].split("`")[0]
    assert link_of(named, [], links)["subnet"] == named
    with pytest.raises(Failure) as refusal:
        link_of("", [], [device("eth0", "10.0.0.1/0")])
    assert "NETWORK/30" in refusal.value.hint


def test_a_wide_link_takes_no_time() -> None:
    begun = time.process_time()
    assert link_of("10.0.0.0/8", [], [])["engine"] == "10.0.0.2"
    assert time.process_time() - begun < 1


def test_the_host_is_asked_for_data(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    commands.add(
        "ip", 'case $3 in route) echo \'[{"dst":"default"}]\';; *) echo "Cannot open netlink socket" >&2; exit 1;; esac'
    )
    assert link.look() == ([{"dst": "default"}], [])
    assert commands.of("ip") == [["-json", "-4", "route", "show"], ["-json", "-4", "address", "show"]]


def test_without_ip_the_kernels_own_table_is_read(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minimal host gets its `ip` in the course of the run."""

    def spelled(address: str) -> str:
        return f"{int.from_bytes(ipaddress.IPv4Address(address).packed, sys.byteorder):08X}"

    lines = [
        f"{name}\t{spelled(to)}\t{spelled(by)}\t0003\t0\t0\t0\t{spelled(mask)}\t0\t0\t0\n"
        for name, to, by, mask in [
            ("eth0", "0.0.0.0", "192.168.1.1", "0.0.0.0"),
            ("wg0", "10.213.76.0", "192.168.1.1", "255.255.252.0"),
            ("eth1", "10.0.0.0", "0.0.0.0", "255.0.0.0"),
        ]
    ]
    routes = link.kernel_routes(["Iface\tDestination\tGateway\n", *lines])
    assert [(str(network), by, inside) for network, by, inside in link.in_use(routes, [])] == [
        ("10.213.76.0/22", "wg0", False),
        ("10.0.0.0/8", "eth1", True),
    ]
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    assert link.choose(*link.look()) is not None
