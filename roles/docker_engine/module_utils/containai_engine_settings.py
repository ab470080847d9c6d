"""What is chosen for an engine on a host: its settings, its daemon.json and its link are refused where they do not fit."""

from __future__ import annotations

import ipaddress
import itertools

from ansible.module_utils.containai_daemon_json import DaemonJsonError, conflicts, parse, with_runtime
from ansible.module_utils.containai_settings import SettingError, check_all, check_places


class Refusal(Exception):
    """This host cannot carry the engine: what was found and is needed, the way out, and the kind of failure."""

    def __init__(self, message, hint, failure="unsupported"):
        super().__init__(message)
        self.message, self.hint, self.failure = message, hint, failure


class Unusable(Refusal):
    """The daemon.json cannot be read as one, whatever is in it."""


def check_settings(settings, dedicated):
    try:
        check_all(settings, "docker_engine_")
        if dedicated:
            check_places(settings, "docker_engine_")
    except SettingError as error:
        raise Refusal(str(error), "mend it in your settings or on the command line: `cai setup -e NAME=VALUE`", "precondition") from error


def check_daemon_json(path, dedicated, dns=()):
    """Refuse a daemon.json that the engine could not start with; return a warning where it cannot be read."""
    mend = "mend the file, or give the secure engine one of its own: `cai setup -e sysbox_daemon_json=/etc/containai/daemon.json`"
    try:
        with open(path, "rb") as handle:
            data = handle.read()
        _, value = parse(data)
        with_runtime(data, "sysbox-runc", {})  # raises where no runtime could be added later
    except FileNotFoundError:
        return None
    except PermissionError:
        return f"{path} cannot be read without root rights; the run itself will check it."
    except (OSError, DaemonJsonError) as error:
        raise Unusable(f"{path} cannot be used: {getattr(error, 'strerror', None) or error}.", mend, "precondition") from error
    found = conflicts(value, dns) if dedicated else []
    if found:
        reasons = "; ".join(f'"{key}" {why}' for key, why in found)
        raise Refusal(f"{path} does not fit the secure engine: {reasons}.", mend, "precondition")
    if value.get("default-runtime") == "sysbox-runc":
        return f"{path} makes sysbox-runc the default runtime. That is left as it is, but containers then run under Sysbox without asking for it."
    return None


def link_of(subnet, routes):
    """Return the addresses of the engine's link; refuse a subnet that another interface uses (`routes`: text of /proc/net/route)."""
    try:
        network = ipaddress.IPv4Network(subnet)
        machine, engine = itertools.islice(network.hosts(), 2)  # not all: a wide network has millions
    except ValueError as error:
        raise Refusal(
            f"The variable docker_engine_link_subnet is {subnet!r}; an IPv4 network of at least two hosts is needed.",
            "use for instance `-e docker_engine_link_subnet=10.213.77.0/30`",
            "precondition",
        ) from error
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[0] == "cai0" or fields[7] == "00000000":
            continue
        address, mask = (ipaddress.IPv4Address(bytes.fromhex(field)[::-1]) for field in (fields[1], fields[7]))
        other = ipaddress.IPv4Network(f"{address}/{mask}", strict=False)
        # A wide route through a gateway, as a VPN sets it, gives way to the link; a network that the host itself is in does not.
        wide = fields[2] != "00000000" and other.prefixlen < network.prefixlen
        if network.overlaps(other) and not wide:
            raise Refusal(
                f"The network {subnet} of the engine's link is in use by {fields[0]} ({address}/{mask}).",
                "choose another: `cai setup -e docker_engine_link_subnet=10.214.88.0/30`",
                "precondition",
            )
    return {"subnet": subnet, "prefix": network.prefixlen, "machine": str(machine), "engine": str(engine)}
