"""The host's network links, addresses and routes, read from the kernel's files: no program is needed. Our own link is left out."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re

OWN = "cai0"
# Links that come and go with containers, VMs and VPNs, by themselves.
PASSING = re.compile(r"(veth|tun|tap|wg|ppp|vnet|cali|cni|flannel|lxc|podman|virbr|tailscale|zt|vxlan|kube|dummy|ifb|wwan|usb)")
RTF_SKIPPED = 0x01000000 | 0x00400000 | 0x00040000  # of IPv6: a cache entry, one that expires, one of a router's announcement


def links(root="/sys/class/net"):
    """Return {name: kind}, such as {"eth0": "", "docker0": "bridge"}."""
    found = {}
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(root)):
            if name != OWN and os.path.isdir(os.path.join(root, name)):
                found[name] = _kind(os.path.join(root, name))
    return found


def _kind(folder):
    with contextlib.suppress(OSError), open(os.path.join(folder, "uevent"), encoding="ascii", errors="replace") as handle:
        return dict(line.split("=", 1) for line in handle.read().splitlines() if "=" in line).get("DEVTYPE", "")
    return ""


def routes(proc="/proc/net"):
    """Return the routes as "10.0.0.0/8 via 10.0.0.1 dev eth0" texts."""
    found = []
    for fields in _table(os.path.join(proc, "route"))[1:]:
        name, target, gateway, mask = fields[0], fields[1], fields[2], fields[7]
        network = ipaddress.ip_network(f"{_v4(target)}/{_v4(mask)}", strict=False)
        found.append(_route(network, "" if gateway == "00000000" else _v4(gateway), name))
    for fields in _table(os.path.join(proc, "ipv6_route")):
        target, length, gateway, flags, name = fields[0], int(fields[1], 16), fields[4], int(fields[8], 16), fields[9]
        network = ipaddress.ip_network(f"{_v6(target)}/{length}", strict=False)
        local = network.is_link_local or network.is_multicast or length == 128 or name == "lo"
        if not flags & RTF_SKIPPED and not local:
            found.append(_route(network, "" if int(gateway, 16) == 0 else _v6(gateway), name))
    return sorted(route for route in found if not route.endswith(f" {OWN}"))


def _table(path):
    try:
        with open(path, encoding="ascii") as handle:
            return [line.split() for line in handle if len(line.split()) >= 8]
    except OSError:
        return []


def _v4(text):
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])


def _v6(text):
    return ipaddress.IPv6Address(bytes.fromhex(text))


def _route(network, gateway, name):
    return f"{network} {f'via {gateway} ' if gateway else ''}dev {name}"


def own_addresses(path="/proc/net/fib_trie"):
    """Return the IPv4 addresses of the machine itself."""
    with contextlib.suppress(OSError), open(path, encoding="ascii") as handle:
        return sorted(set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", handle.read())))
    return []


def listening(proc="/proc/net"):
    """Return {"80/tcp", "53/udp", ...}: the ports that somebody listens on. No connection is made."""
    found = set()
    for name in ("tcp", "udp"):
        for table in (name, f"{name}6"):
            for fields in _table(os.path.join(proc, table))[1:]:
                if name == "udp" or fields[3] == "0A":  # LISTEN
                    found.add(f"{int(fields[1].rpartition(':')[2], 16)}/{name}")
    return found
