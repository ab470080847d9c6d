"""Where containers may connect to: the settings docker_engine_egress and docker_engine_egress_allow, checked before anything changes."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ansible.module_utils.containai.errors import bad_setting

MODES = ("open", "no-private", "list")
METADATA = ipaddress.IPv4Network("169.254.169.254/32")
# What no-private blocks.
PRIVATE = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
BLOCKED = {"open": (METADATA,), "no-private": PRIVATE, "list": (ipaddress.IPv4Network("0.0.0.0/0"),)}
# How the VM's containers name the Mac; Lima gives it this address in every VM.
MAC = dict.fromkeys(("host.lima.internal", "host.docker.internal"), "192.168.5.2")
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
KEYS = ("network", "ports", "protocol")
MOST_PORTS = 15  # in one rule of the kernel
EXAMPLE = """write for instance `cai setup -e 'docker_engine_egress_allow=[{"network": "10.1.0.0/16", "ports": ["443"]}]'`"""


def network_of(text):
    """Return the IPv4Network that a text names; refuses any other text."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        pass
    shown = ascii(text)[:80]
    try:
        given = ipaddress.ip_interface(text)
    except ValueError:
        raise bad_setting(
            f"The variable docker_engine_egress_allow names {shown}; an IPv4 network is needed: the addresses behind a name change, "
            "and a firewall sees addresses only.",
            "name the network in `docker_engine_egress_allow`, or allow a filtering proxy and let that decide by names (docs/how-it-works.md shows one)",
        ) from None
    if given.version == 6:
        raise bad_setting(f"The variable docker_engine_egress_allow names {shown}; containers have no IPv6, an IPv4 network is needed.", EXAMPLE)
    raise bad_setting(f"The variable docker_engine_egress_allow names {shown}, an address within a network.", f"write `{given.network}`, or `{given.ip}/32`")


def ports_of(values):
    """Return the ports as iptables writes them: 443, 8000:8100."""
    if not isinstance(values, list) or not values or len(values) > MOST_PORTS:
        raise bad_setting(f"The variable docker_engine_egress_allow has the ports {ascii(values)[:80]}; a list of 1 to {MOST_PORTS} is needed.", EXAMPLE)
    found = []
    for value in values:
        match = PORTS.fullmatch(str(value)) if not isinstance(value, bool) else None
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 65535:
            raise bad_setting(
                f"The variable docker_engine_egress_allow has the port {ascii(value)[:40]}; 1 to 65535, or a range such as 8000-8100, is needed.", EXAMPLE
            )
        found.append(str(first) if first == last else f"{first}:{last}")
    return found


def entry_of(item):
    """Return one entry as {network, protocol, ports}, in full."""
    item = {key: value for key, value in item.items() if value is not None}
    if "network" not in item or set(item) - set(KEYS):
        raise bad_setting(
            f"The variable docker_engine_egress_allow holds {ascii(item)[:80]}; a network, with ports and protocol if wanted, is needed.", EXAMPLE
        )
    protocol = item.get("protocol", "tcp" if "ports" in item else "all")
    known = ("tcp", "udp") if "ports" in item else ("tcp", "udp", "icmp", "all")
    if protocol not in known:
        raise bad_setting(f"The variable docker_engine_egress_allow has the protocol {ascii(protocol)[:40]}; needed is one of: {', '.join(known)}.", EXAMPLE)
    return {"network": str(network_of(item["network"])), "protocol": protocol, "ports": ports_of(item["ports"]) if "ports" in item else []}


def policy_of(mode, allow, proxies):
    """Return {mode, allow, blocked} as the programs `network` and `vm-egress` read it; refuses what cannot be, or would
    cut dockerd off from its own proxy."""
    if mode not in MODES:
        raise bad_setting(
            f"The variable docker_engine_egress is {ascii(mode)[:40]}; needed is one of: {', '.join(MODES)}.",
            "write `cai setup -e docker_engine_egress=no-private`",
        )
    policy = {"mode": mode, "allow": [entry_of(item) for item in allow], "blocked": [str(network) for network in BLOCKED[mode]]}
    for name, address in proxies.items():
        check_proxy(policy, name, address)
    return policy


def check_proxy(policy, name, address):
    if name.lower() == "no_proxy" or not address:
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        name_or_address = parts.hostname or ""
        host, port = ipaddress.IPv4Address(MAC.get(name_or_address, name_or_address)), parts.port or 80
    except ValueError:  # a name, or IPv6
        return
    if not host.is_loopback and blocks(policy, host, port):
        raise bad_setting(
            f"The variable docker_engine_egress is {policy['mode']}, which blocks the proxy {name} ({host}:{port}).",
            f"""allow it: `cai setup -e 'docker_engine_egress_allow=[{{"network": "{host}/32", "ports": ["{port}"]}}]'`""",
        )


def blocks(policy, host, port):
    """Whether a TCP connection there is blocked."""
    for entry in policy["allow"]:
        ranges = [tuple(map(int, ports.split(":"))) for ports in entry["ports"]]
        if (
            host in ipaddress.IPv4Network(entry["network"])
            and entry["protocol"] in ("tcp", "all")
            and (not ranges or any(r[0] <= port <= r[-1] for r in ranges))
        ):
            return False
    return any(host in network for network in BLOCKED[policy["mode"]])
