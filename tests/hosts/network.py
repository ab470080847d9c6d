"""The private engine's way out: one veth pair and one nftables table of our own, both gone after `down`.

The engine lives in its own network namespace, so every iptables rule that Docker writes dies with that namespace.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from . import paths
from .shell import HostError, run

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_LINK = "caith"


def _machine_networks() -> list[ipaddress.IPv4Network]:
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout or "[]")
    found = []
    for route in routes:
        try:
            found.append(ipaddress.IPv4Network(route.get("dst", ""), strict=False))
        except ValueError:
            continue
    return found


def free_subnet() -> ipaddress.IPv4Network:
    """A /30 that no route of this machine covers."""
    taken = _machine_networks()
    start = int(paths.tag(), 16) % 200
    for step in range(200):
        candidate = ipaddress.IPv4Network(f"10.219.{(start + step) % 200}.0/30")
        if not any(candidate.overlaps(net) for net in taken):
            return candidate
    raise HostError("no free 10.219.x.0/30 network on this machine")


def default_mtu() -> int:
    """The MTU of the interface that leads out of this machine."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "default"]).stdout or "[]")
    if not routes:
        return 1500
    return int(json.loads(run(["ip", "-j", "link", "show", routes[0]["dev"]]).stdout)[0]["mtu"])


def _forwarding() -> list[str]:
    """What the links of all engines on this machine, those of other checkouts too, have as their alias: the ip_forward before the first of them."""
    links = json.loads(run(["ip", "-j", "link"]).stdout)
    return [link.get("ifalias", "1") for link in links if link["ifname"].startswith(_LINK)]


def plan() -> dict[str, str]:
    """What `up` will make, and what `down` needs to know; nothing is made yet."""
    return {
        "link": f"{_LINK}{paths.tag()}",
        "table": f"cai_hosts_{paths.tag()}",
        "subnet": str(free_subnet()),
        "mtu": str(default_mtu()),
        "ip_forward": next(iter(_forwarding()), _FORWARD.read_text().strip()),
    }


def up(pid: int, planned: dict[str, str]) -> None:
    """Connect the network namespace of `pid`."""
    subnet, mtu, link = ipaddress.IPv4Network(planned["subnet"]), planned["mtu"], planned["link"]
    outer, inner = (f"{address}/{subnet.prefixlen}" for address in subnet.hosts())
    gateway = outer.partition("/")[0]
    run(["ip", "link", "add", link, "mtu", mtu, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "link", "set", link, "alias", planned["ip_forward"]])
    run(["ip", "address", "add", outer, "dev", link])
    run(["ip", "link", "set", link, "up"])
    inside = ["nsenter", "-t", str(pid), "-n"]
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "set", "eth0", "mtu", mtu],
        ["address", "add", inner, "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", gateway],
    ):
        run([*inside, "ip", *words])
    run(
        ["nft", "-f", "-"],
        stdin=f"""table ip {planned["table"]} {{
  chain to_world {{
    type nat hook postrouting priority srcnat;
    ip saddr {subnet} oifname != "{link}" masquerade
  }}
  chain clamp_mss {{
    type filter hook forward priority mangle;
    tcp flags syn tcp option maxseg size set rt mtu
  }}
}}
""",
    )
    if planned["ip_forward"] != "1":
        _FORWARD.write_text("1\n")


def down(made: dict[str, str]) -> None:
    """Take away what `up` made; what is already gone is no error."""
    run(["ip", "link", "del", made["link"]], check=False)
    run(["nft", "delete", "table", "ip", made["table"]], check=False)
    if made["ip_forward"] != "1" and not _forwarding():
        _FORWARD.write_text(made["ip_forward"] + "\n")
