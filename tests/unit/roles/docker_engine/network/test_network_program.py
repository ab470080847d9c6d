"""The program that makes the engine's network: what it asks of the kernel, and what it sees missing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.containai.egress import PRIVATE, policy_of

from tests.unit.roles.docker_engine.network.programs import load

SETTINGS = {
    "subnet": "10.213.77.0/30", "prefix": 30, "machine": "10.213.77.1", "engine": "10.213.77.2", "daemon_json": "/nowhere", "dns": [],
    "egress": policy_of("open", [], {}),
}  # fmt: skip


class Kernel:
    """Two namespaces, as far as the program looks into them: sysctls, routes, addresses and iptables chains."""

    def __init__(self) -> None:
        self.sysctls: dict[tuple[bool, str], str] = {}
        self.data: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self.chains: dict[tuple[str, str], list[str]] = {}
        self.policy = "ACCEPT"
        self.zone: str | None = None
        self.networkd = ""
        self.calls: list[tuple[str, ...]] = []
        self.broken: set[str] = set()

    def run(self, *argv: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        self.calls.append(argv)
        engine = argv[0] == "nsenter"
        words = argv[3:] if engine else argv
        code, out = self.answer(engine, words, stdin)
        if check and code:
            raise AssertionError(argv)
        return subprocess.CompletedProcess(argv, code, out, "")

    def answer(self, engine: bool, words: tuple[str, ...], stdin: str) -> tuple[int, str]:
        if " ".join(words) in self.broken:
            return 1, ""
        if words[0] in ("cat", "tee"):
            key = (engine, words[1].removeprefix("/proc/sys/net/"))
            if words[0] == "tee":
                self.sysctls[key] = stdin
            return (0, self.sysctls[key] + "\n") if key in self.sysctls else (1, "")
        if words[:3] == ("ip", "-json", "-4"):
            return 0, json.dumps(self.data.get((*(["engine"] if engine else []), *words[3:]), []))
        if words[0] == "iptables-restore":
            self.restore(stdin)
        if words[0] == "iptables":
            return self.iptables([word for word in words[1:] if word not in ("-w", "10")])
        if words[:3] == ("ip", "-json", "link"):
            return 0, '[{"ifindex": 12}]'
        if words == ("networkctl", "reload"):
            self.networkd = "unmanaged"
        if words[0] == "busctl":
            said = self.networkd or None if "/org/freedesktop/network1/link/_312" in words else self.zone
            return (1, "") if said is None else (0, f's "{said}"\n')
        return 0, ""

    def restore(self, text: str) -> None:
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                self.chains[table, line[1:].split()[0]] = []
            elif line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                self.chains[table, chain].append(rule)

    def iptables(self, words: list[str]) -> tuple[int, str]:
        table = words.pop(1) if words[0] == "-t" else "filter"
        verb, chain, *rest = [word for word in words if word != "-t"]
        rule, rules = " ".join(rest), self.chains.setdefault((table, chain), [])
        if verb == "-P":
            self.policy = rule
        elif verb == "-S":
            return 0, f"-P {chain} {self.policy}\n" + "".join(f"-A {chain} {item}\n" for item in rules)
        elif verb == "-C":
            return int(rule not in rules), ""
        elif verb == "-I":
            rules.insert(0, rule)
        elif verb == "-D":
            if rule not in rules:
                return 1, ""
            rules.remove(rule)
        elif verb in ("-F", "-X"):
            rules.clear()
        return 0, ""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("network")
    for name in ("SAVED", "DOCKERD_FLAGS", "NETWORKD_FILE", "SETTINGS", "EGRESS", "RESOLV_CONF"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    monkeypatch.setattr(module, "ZONES", str(tmp_path / "zones"))
    monkeypatch.setattr(module, "backends", lambda: ["iptables"])
    monkeypatch.setattr(module, "neighbour_there", lambda: False)
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    return module


@pytest.fixture
def kernel(network: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(network, "run", made.run)
    for engine in (False, True):
        for name in (
            "ipv4/ip_forward",
            "ipv4/ip_nonlocal_bind",
            "ipv6/ip_nonlocal_bind",
            "ipv4/conf/cai0/proxy_arp",
            "ipv4/conf/cai0/forwarding",
        ):
            made.sysctls[engine, name] = "0"
        made.sysctls[engine, "ipv4/ip_local_port_range"] = "32768\t60999"
    made.data["address", "show", "dev", "cai0"] = [{"addr_info": [{"local": "10.213.77.1", "prefixlen": 30}]}]
    made.data["engine", "address", "show", "dev", "eth0"] = [{"addr_info": [{"local": "10.213.77.2", "prefixlen": 30}]}]
    made.data["engine", "route", "show", "default"] = [{"dst": "default", "gateway": "10.213.77.1"}]
    return made


def problems(network: ModuleType) -> list[str]:
    return list(network.problems(SETTINGS))


def test_a_network_that_was_made_is_whole(network: ModuleType, kernel: Kernel) -> None:
    assert problems(network) != []
    network.up(SETTINGS)
    assert problems(network) == []
    before = (dict(kernel.sysctls), json.dumps([[*key, rules] for key, rules in kernel.chains.items()]))
    network.up(SETTINGS)
    assert before == (dict(kernel.sysctls), json.dumps([[*key, rules] for key, rules in kernel.chains.items()]))


DRIFTS = {
    "the machine does not forward": (lambda k: k.sysctls.update({(False, "ipv4/ip_forward"): "0"}), "net.ipv4.ip_forward is 0"),
    "the engine does not forward": (
        lambda k: k.sysctls.update({(True, "ipv4/ip_forward"): "0"}), "net.ipv4.ip_forward is 0 in the namespace containai",
    ),
    "the link does not forward": (lambda k: k.sysctls.update({(False, "ipv4/conf/cai0/forwarding"): "0"}), "net.ipv4.conf.cai0.forwarding is 0"),
    "no proxy ARP": (lambda k: k.sysctls.update({(False, "ipv4/conf/cai0/proxy_arp"): "0"}), "net.ipv4.conf.cai0.proxy_arp is 0"),
    "a LAN that came late": (
        lambda k: k.data.update({("route", "show", "scope", "link"): [{"dst": "172.17.0.0/16", "dev": "eth1", "protocol": "kernel"}]}),
        "the engine does not know the machine's network 172.17.0.0/16",
    ),
    "no masquerading": (lambda k: k.chains.pop(("nat", "POSTROUTING")), "iptables -t nat POSTROUTING -j CONTAINAI"),
    "a rule flushed": (lambda k: k.chains["filter", "CONTAINAI"].pop(), "iptables -t filter CONTAINAI -i cai0 -j ACCEPT"),
    "a rule added": (lambda k: k.chains["filter", "CONTAINAI"].insert(0, "-j ACCEPT"), "holds 11 rules instead of 10"),
    "the chain not asked": (lambda k: k.chains.update({("filter", "FORWARD"): []}), "iptables -t filter FORWARD -j CONTAINAI"),
    "everybody's packets forwarded": (lambda k: setattr(k, "policy", "ACCEPT"), "FORWARD policy is ACCEPT"),
    "firewalld without the link": (lambda k: setattr(k, "zone", ""), "firewalld has cai0 in no zone"),
    "networkd took the link": (lambda k: setattr(k, "networkd", "configuring"), "systemd-networkd manages cai0 (it is configuring)"),
    "no relay": (lambda k: k.broken.add("systemctl is-active --quiet containai-relay.service"), "containai-relay.service does not run"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_named_and_mended(network: ModuleType, kernel: Kernel, name: str) -> None:
    network.up(SETTINGS)
    drift, words = DRIFTS[name]
    drift(kernel)
    (found,) = problems(network)
    assert words in found
    kernel.calls.clear()
    network.up(SETTINGS)
    if name == "no relay":
        assert ("systemctl", "restart", "containai-relay.service") in kernel.calls
    elif name == "a LAN that came late":
        assert (
            *network.inside(
                "ip", "route", "replace", "172.17.0.0/16", "dev", "eth0", "scope", "link", "metric", "4096"
            ),
        ) in kernel.calls
    elif name == "firewalld without the link":
        assert ("changeZoneOfInterface", "ss", "trusted", "cai0") in [call[-4:] for call in kernel.calls]
    else:
        assert problems(network) == []


@pytest.mark.parametrize("policy", ["ACCEPT", "DROP"])
def test_forwarding_is_given_back_as_it_was(network: ModuleType, kernel: Kernel, policy: str) -> None:
    kernel.policy = policy
    network.up(SETTINGS)
    assert (kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"]) == ("DROP", "1")
    kernel.policy = "ACCEPT"  # a firewall that was loaded again, and networks that changed with it
    network.follow(SETTINGS)
    assert kernel.policy == "DROP"
    network.up(SETTINGS)
    network.down(SETTINGS)
    assert (kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"]) == (policy, "0")
    assert {rule for rules in kernel.chains.values() for rule in rules} == set()


def test_forwarding_that_was_on_is_left_alone(network: ModuleType, kernel: Kernel) -> None:
    kernel.sysctls[False, "ipv4/ip_forward"] = "1"
    network.up(SETTINGS)
    assert kernel.policy == "ACCEPT"
    assert problems(network) == []
    network.down(SETTINGS)
    assert (kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"]) == ("ACCEPT", "1")


def test_forwarding_stays_on_where_another_engine_came(
    network: ModuleType, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.up(SETTINGS)
    monkeypatch.setattr(network, "neighbour_there", lambda: True)
    network.down(SETTINGS)
    assert (kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"]) == ("DROP", "1")


def test_the_mark_of_an_earlier_version_is_understood(network: ModuleType, kernel: Kernel) -> None:
    Path(network.SAVED).touch()
    kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"] = "DROP", "1"
    kernel.chains["nat", "POSTROUTING"] = ["-s 10.213.77.0/30 ! -o cai0 -j MASQUERADE"]
    network.up(SETTINGS)
    assert kernel.chains["nat", "POSTROUTING"] == ["-j CONTAINAI"]
    network.down(SETTINGS)
    assert (kernel.policy, kernel.sysctls[False, "ipv4/ip_forward"]) == ("ACCEPT", "0")


def route(dst: str, dev: str = "eth0", protocol: str = "kernel", **more: Any) -> dict[str, Any]:
    return {"dst": dst, "dev": dev, "protocol": protocol, **more}


def test_the_engine_sees_the_networks_that_the_machine_is_in_and_no_tunnels_claim(
    network: ModuleType, kernel: Kernel
) -> None:
    kernel.data["route", "show", "scope", "link"] = [
        route("172.17.0.0/16"), route("192.168.5.0/24", "wlan0", metric=600), route("172.20.0.0/16", "tun0", "boot"), route("10.8.0.1", "wg0", "static"),
        route("0.0.0.0/1", "wg0", "boot"), route("128.0.0.0/1", "wg0", "boot"), route("10.0.0.0/8", "wg0", "static"), route("172.16.0.0/12", "wg0", "static"),
        route("default", "ppp0", "static"), route("172.18.0.0/16", "docker0"), route("172.19.0.0/16", "br-0123"), route("10.213.77.0/30", "cai0"),
        {"type": "blackhole", "dst": "172.21.0.0/16"}, {"type": "multicast", "dst": "224.0.0.0/4", "dev": "eth0"},
        {"dst": "172.22.0.0/16", "nexthops": [{"dev": "eth0"}]},
    ]  # fmt: skip
    assert network.networks_here() == {
        "172.17.0.0/16",
        "192.168.5.0/24",
        "172.20.0.0/16",
        "10.8.0.1/32",
        "172.22.0.0/16",
    }


def test_a_network_that_is_gone_is_forgotten(network: ModuleType, kernel: Kernel) -> None:
    kernel.data["engine", "route", "show", "dev", "eth0", "scope", "link"] = [
        route("10.213.77.0/30"), route("172.17.0.0/16", protocol="boot", metric=4096),
    ]  # fmt: skip
    network.mirror_routes()
    changes = [call for call in kernel.calls if "delete" in call or "replace" in call]
    assert changes == [
        network.inside("ip", "route", "delete", "172.17.0.0/16", "dev", "eth0", "scope", "link", "metric", "4096")
    ]


def test_another_subnet_takes_the_place_of_the_old(network: ModuleType, kernel: Kernel) -> None:
    network.make_link({**SETTINGS, "subnet": "172.30.213.76/30", "machine": "172.30.213.77", "engine": "172.30.213.78"})
    assert ("ip", "address", "delete", "10.213.77.1/30", "dev", "cai0") in kernel.calls
    assert network.inside("ip", "address", "delete", "10.213.77.2/30", "dev", "eth0") in kernel.calls
    assert network.inside("ip", "address", "replace", "172.30.213.78/30", "dev", "eth0") in kernel.calls


@pytest.mark.parametrize(
    ("text", "dns", "flags"),
    [
        (None, [], "--dns=10.213.77.2"),
        ('{"dns": ["1.1.1.1"]}', [], ""),
        ('{"dns": []}', [], ""),
        ('{"debug": true}', ["9.9.9.9", "fd00::1"], "--dns=9.9.9.9 --dns=fd00::1"),
        ("{", [], "--dns=10.213.77.2"),
    ],
)
def test_dockerd_is_told_the_servers_once(
    network: ModuleType, kernel: Kernel, tmp_path: Path, text: str | None, dns: list[str], flags: str
) -> None:
    file = tmp_path / "daemon.json"
    if text is not None:
        file.write_text(text)
    network.dockerd({**SETTINGS, "daemon_json": str(file), "dns": dns})
    assert Path(network.DOCKERD_FLAGS).read_text() == f'CONTAINAI_DNS="{flags}"\n'
    (rule,) = kernel.chains["nat", "CONTAINAI"]
    assert "--path system.slice/containai-docker.service" in rule
    assert kernel.chains["nat", "OUTPUT"] == ["-j CONTAINAI"]


def test_a_kernel_without_the_match_of_cgroups_starts_dockerd_all_the_same(
    network: ModuleType, kernel: Kernel, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.broken.add("iptables-restore -w 10 --noflush")
    network.dockerd(SETTINGS)
    assert "cannot reach this machine's localhost" in capsys.readouterr().err
    assert ("nat", "OUTPUT") not in kernel.chains


def test_what_is_typed_wrong_and_what_is_not_set_up(network: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert network.main([]) == 2
    assert network.main(["everything"]) == 2
    assert network.main(["check"]) == 1
    assert "usage: network up | down | check" in capsys.readouterr().err


ALLOW = [{"network": "10.1.0.0/16", "ports": ["443", "8000-8100"]}, {"network": "10.2.0.0/16"}]
RESOLVER = [f"-d 192.168.1.1/32 -p {kind} -m {kind} --dport 53 -j RETURN" for kind in ("udp", "tcp")]
ALLOWED = [*RESOLVER, "-d 10.1.0.0/16 -p tcp -m multiport --dports 443,8000:8100 -j RETURN", "-d 10.2.0.0/16 -j RETURN"]
BLOCK = "-j REJECT --reject-with icmp-admin-prohibited"


@pytest.mark.parametrize("mode", ["open", "no-private", "list"])
def test_where_containers_may_connect_to(network: ModuleType, kernel: Kernel, mode: str) -> None:
    Path(network.RESOLV_CONF).write_text("nameserver 127.0.0.53\nnameserver 192.168.1.1\nnameserver fd00::1\n")
    settings = {**SETTINGS, "egress": policy_of(mode, ALLOW, {})}
    network.up(settings)
    assert list(network.problems(settings)) == []
    rules = [rule.removeprefix("-i cai0 ") for rule in kernel.chains["filter", "CONTAINAI-EGRESS"]]
    assert rules[: len(ALLOWED)] == ALLOWED
    blocked = {"open": [f"-d 169.254.169.254/32 {BLOCK}"], "list": [BLOCK]}
    assert rules[len(ALLOWED) :] == blocked.get(mode, [f"-d {net} {BLOCK}" for net in PRIVATE])
    # Asked before anything is let through, other engines' networks included.
    chain = kernel.chains["filter", "CONTAINAI"]
    assert chain.index("-i cai0 -j CONTAINAI-EGRESS") < min(
        i for i, rule in enumerate(chain) if rule.startswith("-i cai0 -o ")
    )
    if mode == "open":
        assert kernel.chains.get(("filter", "INPUT"), []) == []
    else:
        assert kernel.chains["filter", "INPUT"] == ["-i cai0 -j CONTAINAI-INPUT"]
        assert kernel.chains["filter", "CONTAINAI-INPUT"] == [
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            *ALLOWED,
            BLOCK,
        ]


def test_a_mode_that_is_taken_back_leaves_nothing(network: ModuleType, kernel: Kernel) -> None:
    network.up({**SETTINGS, "egress": policy_of("list", [], {})})
    (found,) = problems(network)
    assert "INPUT -i cai0 -j CONTAINAI-INPUT" in found or "CONTAINAI-EGRESS" in found
    network.up(SETTINGS)
    assert problems(network) == []
    assert kernel.chains["filter", "INPUT"] == []


def test_a_resolver_that_changed_may_be_asked(network: ModuleType, kernel: Kernel) -> None:
    settings = {**SETTINGS, "egress": policy_of("list", [], {})}
    network.up(settings)
    Path(network.RESOLV_CONF).write_text("nameserver 192.168.1.1\n")
    network.follow(settings)
    assert kernel.chains["filter", "CONTAINAI-EGRESS"] == [*RESOLVER, BLOCK]


def test_firewalld_knows_the_link_after_a_reload_too(network: ModuleType, kernel: Kernel) -> None:
    zones = Path(network.ZONES)
    zones.mkdir()
    network.up(SETTINGS)
    (file,) = zones.iterdir()
    assert file.name == "containai.xml"
    assert '<interface name="cai0"/>' in file.read_text()
    assert problems(network) == []
    file.unlink()
    assert "no zone" in problems(network)[0]
    network.up(SETTINGS)
    assert file.exists()
    kernel.zone = "containai"
    kernel.calls.clear()
    network.down(SETTINGS)
    assert not file.exists()
    assert ("removeInterface", "ss", "containai", "cai0") in [call[-4:] for call in kernel.calls]


def test_networkd_is_told_before_the_link_is_made(network: ModuleType, kernel: Kernel) -> None:
    kernel.data["address", "show", "dev", "cai0"] = []
    network.up(SETTINGS)
    file = Path(network.NETWORKD_FILE)
    assert "[Match]\nName=cai0\n" in file.read_text()
    assert "Unmanaged=yes" in file.read_text()
    calls = [" ".join(call) for call in kernel.calls]
    assert calls.index("networkctl reload") < calls.index("ip address replace 10.213.77.1/30 dev cai0")
    network.down(SETTINGS)
    assert not file.exists()
