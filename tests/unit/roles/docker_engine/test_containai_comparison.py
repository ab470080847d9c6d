"""What a run could have caused is a fault, what others do by themselves is a note: case by case, and by random lives of a host."""

from __future__ import annotations

import copy
import os
import random
import time
from typing import Any

import pytest
from ansible.module_utils.containai_comparison import Comparison

ACTIVE = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "InvocationID": "a1"}
# The ordinary run of this test is short; a nightly one sets more seconds.
SECONDS = float(os.environ.get("CAI_FUZZ_SECONDS", "2"))


class World:
    """A host with a Docker in which containers live: its snapshot follows from what is there."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.number = chance, 0
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks = {"docker0": "172.17.0"}
        self.invocation = "a1"
        self.packages = {"libc6": "2.41", "fuse3": "3.17", "runc": "1.1"}
        self.links = {"eth0": "", "docker0": "bridge", "lo": "", "br0": "bond"}
        self.routes = ["0.0.0.0/0 via 10.0.0.1 dev eth0", "10.0.0.0/24 dev eth0"]
        self.zones = {"public": ["target: default", "interfaces: eth0"], "docker": ["interfaces: docker0"]}
        self.rules = [
            ":INPUT ACCEPT",
            ":FORWARD DROP",
            ":DOCKER -",
            "-A INPUT -s 10.0.0.9/32 -j ACCEPT",
            "-A FORWARD -j DOCKER",
        ]
        self.closed: set[tuple[str, str]] = set()
        self.unforwarded: set[tuple[str, str]] = set()
        for _ in range(chance.randrange(1, 5)):
            self.start()

    # --- what others do ---

    def start(self, network: str = "") -> None:
        self.number += 1
        name = network or self.chance.choice(sorted(self.networks))
        used = {item["address"] for item in self.containers.values()}
        free = [number for number in range(2, 60) if f"{self.networks[name]}.{number}" not in used]
        self.containers[f"c{self.number}"] = {
            "network": name,
            "address": f"{self.networks[name]}.{self.chance.choice(free)}",
            "life": self.number,
            "port": f"{self.chance.randrange(8000, 8010)}/tcp" if self.chance.random() < 0.6 else "",
        }

    def stop(self) -> None:
        if self.containers:
            del self.containers[self.chance.choice(sorted(self.containers))]

    def crash(self) -> None:
        if self.containers:
            self.number += 1
            item = self.containers[self.chance.choice(sorted(self.containers))]
            item["life"] = self.number

    def add_network(self) -> None:
        self.number += 1
        name = f"br-{self.number:012x}"
        self.networks[name] = f"172.{18 + self.number % 200}.{self.number % 250}"
        self.links[name] = "bridge"

    def remove_network(self) -> None:
        used = {item["network"] for item in self.containers.values()}
        free = sorted(set(self.networks) - used - {"docker0"})
        if free:
            name = self.chance.choice(free)
            del self.networks[name], self.links[name]

    def upgrade(self) -> None:
        self.packages["libc6"] += "+1"

    def dial(self) -> None:
        """A VPN comes or goes."""
        if "tun0" in self.links:
            del self.links["tun0"]
            self.routes = [route for route in self.routes if not route.endswith("tun0")]
        else:
            self.links["tun0"] = ""
            self.routes.append("10.8.0.0/24 dev tun0")

    def lease(self) -> None:
        self.routes[0] = f"0.0.0.0/0 via 10.0.0.{self.chance.randrange(1, 9)} dev eth0"

    LIFE = (start, start, stop, stop, crash, add_network, remove_network, upgrade, dial, lease)

    def live(self, events: int) -> None:
        for _ in range(events):
            self.chance.choice(self.LIFE)(self)

    # --- what a run of cai could do wrong; each returns what the comparison has to name, or nothing if it cannot be done here ---

    def survivor(self, before: dict[str, Any]) -> str:
        same = [
            name
            for name, item in self.containers.items()
            if item["port"] and before["containers"].get(name, {}).get("started") == item["life"]
        ]
        return self.chance.choice(same) if same else ""

    def restart(self, before: dict[str, Any]) -> str:
        self.invocation = "a2"
        for item in self.containers.values():
            self.number += 1
            item["life"] = self.number
        return "docker.service"

    def close_port(self, before: dict[str, Any]) -> str:
        name = self.survivor(before)
        if name:
            self.closed.add((name, self.containers[name]["port"]))
        return f"the container {name}" if name else ""

    def flush_rule(self, before: dict[str, Any]) -> str:
        name = self.survivor(before)
        if name:
            self.unforwarded.add((name, self.containers[name]["port"]))
        return f"the container {name}" if name else ""

    def flush_chain(self, before: dict[str, Any]) -> str:
        self.rules.remove("-A INPUT -s 10.0.0.9/32 -j ACCEPT")
        return "firewall rule"

    def open_policy(self, before: dict[str, Any]) -> str:
        self.rules[1] = ":FORWARD ACCEPT"
        return ":FORWARD DROP"

    def remove_package(self, before: dict[str, Any]) -> str:
        self.packages.pop("runc")
        return "the package runc"

    def remove_link(self, before: dict[str, Any]) -> str:
        del self.links["br0"]
        return "the link br0"

    def remove_bridge(self, before: dict[str, Any]) -> str:
        del self.links["docker0"]
        return "the link docker0"

    def remove_route(self, before: dict[str, Any]) -> str:
        self.routes.remove("10.0.0.0/24 dev eth0")
        return "the route 10.0.0.0/24"

    def change_zone(self, before: dict[str, Any]) -> str:
        self.zones["public"] = ["target: default", "interfaces: "]
        return "zone public"

    FAULTS = (
        restart, close_port, flush_rule, flush_chain, open_policy, remove_package, remove_link, remove_bridge, remove_route, change_zone,
    )  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        containers, rules = {}, list(self.rules)
        for bridge in self.networks:
            rules.append(f"-A DOCKER -i {bridge} -j RETURN")
            rules.append(f"-A POSTROUTING -s {self.networks[bridge]}.0/24 ! -o {bridge} -j MASQUERADE")
        for name, item in self.containers.items():
            port = item["port"]
            listens, forwarded = (name, port) not in self.closed, (name, port) not in self.unforwarded
            if port and forwarded:
                rules.append(
                    f"-A DOCKER ! -i docker0 -p tcp --dport {port[:4]} -j DNAT --to-destination {item['address']}:80"
                )
            containers[name] = {
                "name": name, "pid": item["life"], "started": item["life"], "addresses": [item["address"]],
                "ports": {port: {"listens": listens, "forwarded": forwarded}} if port else {},
            }  # fmt: skip
        links = {
            **self.links,
            **{f"veth{number}": "" for number in {item["life"] for item in self.containers.values()}},
        }
        return copy.deepcopy({
            "things": {"the active docker context": "default"},
            "units": {"docker.service": {**ACTIVE, "InvocationID": self.invocation}},
            "engine": {"answers": "yes", "id": "E", "process": None, "owner": "owner 0:0"},
            "containers": containers, "networks": {name: [f"{net}.0/24"] for name, net in self.networks.items()},
            "packages": self.packages, "links": links, "rules": {"iptables nat": rules}, "zones": self.zones,
            "routes": [*self.routes, *(f"{net}.0/24 dev {name}" for name, net in self.networks.items() if name in links)],
            "addresses": ["10.0.0.2"], "forwarding": False,
        })  # fmt: skip


def test_no_random_life_is_a_fault_and_no_fault_is_missed() -> None:
    """Ten minutes: CAI_FUZZ_SECONDS=600."""
    end, seed, faults = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or seed < 300:
        seed += 1
        chance = random.Random(seed)
        world = World(chance)
        before = world.snapshot()
        world.live(chance.randrange(12))
        found = Comparison(before, world.snapshot())
        assert found.faults == [], f"seed {seed}: a false alarm"
        wrong = chance.choice(World.FAULTS)
        named = wrong(world, before)
        if named:
            faults += 1
            found = Comparison(before, world.snapshot())
            assert any(named in fault for fault in found.faults), f"seed {seed}: {wrong.__name__} was missed"
    assert faults > seed / 2
    print(f"{seed} lives, {faults} faults")


@pytest.fixture
def before() -> dict[str, Any]:
    return World(random.Random(1)).snapshot()


def test_nothing_happened(before: dict[str, Any]) -> None:
    found = Comparison(before, before)
    assert (found.faults, found.notes) == ([], [])


def test_a_package_that_another_apt_removed_is_a_note(before: dict[str, Any]) -> None:
    after = {**before, "packages": {"libc6": "2.41"}}
    assert len(Comparison(before, after).faults) == 2
    found = Comparison(before, after, lambda name: name == "runc")
    assert found.faults == ["the package fuse3 3.17 was removed"]
    assert found.notes == ["the package runc 1.1 was removed"]


def test_what_this_run_upgraded_is_no_change_by_others() -> None:
    before = World(random.Random(0)).snapshot()
    after = {**before, "packages": {**before["packages"], "runc": "1.2", "fuse3": "3.18"}}
    found = Comparison(before, after, upgraded=lambda name: name == "runc")
    assert found.faults == []
    assert found.notes == ["the package fuse3 is now 3.18, before it was 3.17"]


@pytest.mark.parametrize("part", ["rules", "zones", "packages"])
def test_what_could_not_be_seen_is_not_gone(before: dict[str, Any], part: str) -> None:
    assert Comparison(before, {**before, part: {}}).faults == []
    assert Comparison({**before, part: {}}, before).faults == []


def test_many_lost_rules_are_counted(before: dict[str, Any]) -> None:
    many = {**before, "rules": {"nft inet firewalld": [f"input: tcp dport {port} accept" for port in range(100)]}}
    found = Comparison(many, before)
    assert len(found.faults) == 6
    assert found.faults[-1] == "and 95 more firewall rules are gone"


def test_the_forward_chain_is_ours_while_we_turn_forwarding_on(before: dict[str, Any]) -> None:
    after = copy.deepcopy(before)
    after["rules"]["iptables nat"][1] = ":FORWARD ACCEPT"
    assert Comparison(before, after).faults != []
    assert Comparison(before, {**after, "forwarding": True}).faults == []


def test_the_forward_chain_that_was_opened_since_is_closed_again(before: dict[str, Any]) -> None:
    closed = {**copy.deepcopy(before), "forwarding": True}
    opened = copy.deepcopy(closed)
    opened["rules"]["iptables nat"][1] = ":FORWARD ACCEPT"
    assert Comparison(opened, closed).faults == []
    assert Comparison(closed, opened).faults != []
    assert Comparison({**opened, "forwarding": False}, {**closed, "forwarding": False}).faults != []


def test_a_docker0_that_no_engine_made_is_a_fault(before: dict[str, Any]) -> None:
    bare = {**before, "links": {"eth0": ""}, "engine": {"answers": "no", "id": None, "process": None, "owner": None}}
    assert "docker0 is new" in Comparison(bare, {**bare, "links": {"eth0": "", "docker0": "bridge"}}).faults[0]
    assert Comparison({**bare, "networks": {}}, {**before, "routes": before["routes"]}).faults == []


def test_another_process_behind_the_socket_is_a_restart(before: dict[str, Any]) -> None:
    """A dockerd that no systemd started keeps its ID when it starts again."""
    old, new = copy.deepcopy(before), copy.deepcopy(before)
    old["engine"]["process"], new["engine"]["process"] = "process 7 of 10", "process 8 of 99"
    assert "process behind" in Comparison(old, new).faults[0]
