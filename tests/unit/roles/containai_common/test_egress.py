"""What docker_engine_egress may say, and what it would block, is decided before anything changes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.containai.egress import policy_of
from ansible.module_utils.containai.errors import Failure

GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a network": ({"network": "10.1.0.0/16"}, {"network": "10.1.0.0/16", "protocol": "all", "ports": []}),
    "an address": ({"network": "10.1.2.3"}, {"network": "10.1.2.3/32", "protocol": "all", "ports": []}),
    "a netmask": ({"network": "10.1.0.0/255.255.0.0"}, {"network": "10.1.0.0/16", "protocol": "all", "ports": []}),
    "ports": ({"network": "10.1.0.0/16", "ports": [443, "8000-8100", "9-9"]}, {"network": "10.1.0.0/16", "protocol": "tcp", "ports": ["443", "8000:8100", "9"]}),
    "UDP": ({"network": "10.1.0.0/16", "ports": ["53"], "protocol": "udp"}, {"network": "10.1.0.0/16", "protocol": "udp", "ports": ["53"]}),
    "a protocol": ({"network": "10.1.0.0/16", "protocol": "icmp"}, {"network": "10.1.0.0/16", "protocol": "icmp", "ports": []}),
    "what Ansible fills in": ({"network": "10.0.0.1", "ports": None, "protocol": None}, {"network": "10.0.0.1/32", "protocol": "all", "ports": []}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_entry_is_written_in_full(name: str) -> None:
    given, full = GOOD[name]
    assert policy_of("list", [given], {}) == {"mode": "list", "allow": [full], "blocked": ["0.0.0.0/0"]}


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a name": ({"network": "registry.example"}, "the addresses behind a name change", "a filtering proxy"),
    "a URL": ({"network": "https://10.1.2.3"}, "an IPv4 network is needed", "a filtering proxy"),
    "an address within a network": ({"network": "10.1.2.3/16"}, "an address within a network", "`10.1.0.0/16`, or `10.1.2.3/32`"),
    "IPv6": ({"network": "fd00::/8"}, "containers have no IPv6", "docker_engine_egress_allow="),
    "an octet too large": ({"network": "10.1.2.300"}, "'10.1.2.300'", "a filtering proxy"),
    "no network": ({"ports": ["443"]}, "a network, with ports and protocol if wanted", "docker_engine_egress_allow="),
    "a typing error": ({"network": "10.0.0.0/8", "port": [443]}, "a network, with ports and protocol if wanted", "docker_engine_egress_allow="),
    "a port too high": ({"network": "10.0.0.0/8", "ports": [65536]}, "65536; 1 to 65535", "docker_engine_egress_allow="),
    "a port of 0": ({"network": "10.0.0.0/8", "ports": [0]}, "1 to 65535", "docker_engine_egress_allow="),
    "a range backwards": ({"network": "10.0.0.0/8", "ports": ["90-80"]}, "'90-80'", "docker_engine_egress_allow="),
    "a service's name": ({"network": "10.0.0.0/8", "ports": ["https"]}, "'https'", "docker_engine_egress_allow="),
    "true": ({"network": "10.0.0.0/8", "ports": [True]}, "True", "docker_engine_egress_allow="),
    "ports as text": ({"network": "10.0.0.0/8", "ports": "443"}, "a list of 1 to 15", "docker_engine_egress_allow="),
    "no ports": ({"network": "10.0.0.0/8", "ports": []}, "a list of 1 to 15", "docker_engine_egress_allow="),
    "too many ports": ({"network": "10.0.0.0/8", "ports": list(range(1, 17))}, "a list of 1 to 15", "docker_engine_egress_allow="),
    "another protocol": ({"network": "10.0.0.0/8", "protocol": "sctp"}, "tcp, udp, icmp, all", "docker_engine_egress_allow="),
    "ports of no protocol": ({"network": "10.0.0.0/8", "ports": [1], "protocol": "all"}, "tcp, udp", "docker_engine_egress_allow="),
    "a second command": ({"network": "10.0.0.0/8 -j ACCEPT"}, "an IPv4 network is needed", "a filtering proxy"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_refused_with_what_to_write(name: str) -> None:
    given, found, hint = BAD[name]
    with pytest.raises(Failure) as refusal:
        policy_of("list", [given], {})
    assert found in refusal.value.message
    assert hint in refusal.value.hint
    assert refusal.value.kind == "precondition"


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(Failure, match="'closed'; needed is one of: open, no-private, list"):
        policy_of("closed", [], {})


PROXIES = {
    "a private proxy under no-private": ("no-private", [], "http://10.1.1.1:3128", True),
    "one without a scheme": ("no-private", [], "10.1.1.1:3128", True),
    "a private proxy under open": ("open", [], "http://10.1.1.1:3128", False),
    "a public proxy under list": ("list", [], "http://me:pw@203.0.113.9:3128", True),
    "a public proxy under no-private": ("no-private", [], "http://203.0.113.9:3128", False),
    "one that is allowed": ("list", [{"network": "10.1.1.0/24", "ports": ["3128"]}], "http://10.1.1.1:3128", False),
    "one of which another port is allowed": ("list", [{"network": "10.1.1.0/24", "ports": ["8080"]}], "http://10.1.1.1:3128", True),
    "localhost, which is carried in": ("list", [], "http://127.0.0.1:3128", False),
    "the Mac, as the VM names it": ("no-private", [], "http://host.lima.internal:3128", True),
    "the Mac, which is allowed": ("no-private", [{"network": "192.168.5.2"}], "http://host.docker.internal:3128", False),
    "a name, behind which nobody can see": ("list", [], "http://proxy.example:3128", False),
}  # fmt: skip


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_would_be_blocked_is_refused(name: str) -> None:
    mode, allow, address, refused = PROXIES[name]
    if not refused:
        policy_of(mode, allow, {"HTTPS_PROXY": address, "NO_PROXY": "10.0.0.0/8"})
        return
    with pytest.raises(Failure) as refusal:
        policy_of(mode, allow, {"HTTPS_PROXY": address})
    assert "blocks the proxy HTTPS_PROXY" in refusal.value.message
    assert "pw" not in refusal.value.message + refusal.value.hint
    assert '"ports": ["3128"]' in refusal.value.hint
