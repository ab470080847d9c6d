"""The network between the host and the engine's namespace: chosen where nothing else has these addresses."""

from __future__ import annotations

import ipaddress
import itertools
import json
import sys

from ansible.module_utils.containai.process import run

LINK = "cai0"
# Tried in this order; the first is free nearly everywhere.
CANDIDATES = ("10.213.77.0/30", "172.30.213.76/30", "192.168.213.76/30", "100.64.213.76/30", "198.18.213.76/30")
# Where a free one is looked for when all of these are taken.
SPACES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15")


class Taken(ValueError):
    """The network is in use; the text says by what."""


def look():
    """Return (routes, links) of the host as `ip` tells them. Without `ip`, which is installed later in a first run, the kernel's table of routes has to do."""
    try:
        return _ip("route", "show"), _ip("address", "show")
    except FileNotFoundError:
        with open("/proc/net/route", encoding="ascii") as table:
            return kernel_routes(table), []


def kernel_routes(table):
    """Return the routes of /proc/net/route, whose addresses are hexadecimal in the processor's byte order."""
    routes = []
    for line in itertools.islice(table, 1, None):
        device, destination, gateway, *_, mask = line.split()[:8]
        address, netmask, gateway = (ipaddress.IPv4Address(int(word, 16).to_bytes(4, sys.byteorder)) for word in (destination, mask, gateway))
        if int(netmask):
            routes.append({"dst": f"{address}/{netmask}", "dev": device, **({} if int(gateway) else {"protocol": "kernel"})})
    return routes


def _ip(*words):
    done = run(["ip", "-json", "-4", *words])
    try:
        return json.loads(done.stdout or "[]")
    except ValueError:
        return []


def in_use(routes, links):
    """Yield (network, by what, whether the host itself is in it) for all but the engine's own link."""
    for route in routes:
        if route.get("dev") == LINK or route.get("dst") in (None, "default"):
            continue
        devices = [route.get("dev"), *(hop.get("dev") for hop in route.get("nexthops", []))]
        by = next(filter(None, devices), route.get("type", "a route"))
        yield ipaddress.IPv4Network(route["dst"], strict=False), by, route.get("protocol") == "kernel"
    for link in links:
        if link.get("ifname") == LINK:
            continue
        for item in link.get("addr_info", []):
            if "local" in item:
                yield ipaddress.IPv4Network(f"{item['local']}/{item['prefixlen']}", strict=False), link["ifname"], True


def check_free(network, routes, links):
    """Raise Taken where something else has addresses of `network`.

    A wider route, as a VPN sets it (0.0.0.0/1, 10.0.0.0/8), gives way to the link; a network that the host itself is in does not.
    """
    for other, by, inside in in_use(routes, links):
        if network.overlaps(other) and (inside or other.prefixlen >= network.prefixlen):
            raise Taken(f"{by} ({other})")


def is_free(network, routes, links):
    try:
        check_free(network, routes, links)
    except Taken:
        return False
    return True


def current(links):
    """Return the network that the link has now, or None."""
    for link in links:
        if link.get("ifname") == LINK:
            for item in link.get("addr_info", []):
                return ipaddress.IPv4Network(f"{item['local']}/{item['prefixlen']}", strict=False)
    return None


def choose(routes, links):
    """Return a free network: the one that is in use by the link, or the first free candidate; None if all are taken."""
    now = current(links)
    candidates = [ipaddress.IPv4Network(text) for text in CANDIDATES]
    if now in candidates:
        candidates.insert(0, now)
    return next((network for network in candidates if is_free(network, routes, links)), None)


def suggestion(routes, links):
    """Return a network that is free; None if there is none in all private space."""
    chosen = choose(routes, links)
    if chosen:
        return chosen
    for space in SPACES:
        prefix = max(20, ipaddress.IPv4Network(space).prefixlen)
        for block in ipaddress.IPv4Network(space).subnets(new_prefix=prefix):
            network = ipaddress.IPv4Network(f"{block.network_address + 4}/30")
            if is_free(network, routes, links):
                return network
    return None


def described(network):
    """Return the addresses of the link's two ends."""
    machine, engine = itertools.islice(network.hosts(), 2)  # not all: a wide network has millions
    return {"subnet": str(network), "prefix": network.prefixlen, "machine": str(machine), "engine": str(engine)}
