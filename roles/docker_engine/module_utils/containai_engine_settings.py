"""What is chosen for an engine on a host: its settings, its daemon.json and its link are refused where they do not fit."""

from __future__ import annotations

import ipaddress

from ansible.module_utils import containai_link
from ansible.module_utils.containai.daemon_json import DaemonJsonError, conflicts, parse, with_runtime
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_data_root import holds_data
from ansible.module_utils.containai_settings import check_all, check_places
from ansible.module_utils.containai_storage import driver_problem, file_system


class Unusable(Failure):
    """The daemon.json cannot be read as one, whatever is in it."""


def check_settings(settings, dedicated):
    check_all(settings, "docker_engine_")
    if dedicated:
        check_places(settings, "docker_engine_")


def check_daemon_json(path, dedicated, dns=(), data_root=""):
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
        raise Failure(f"{path} does not fit the secure engine: {reasons}.", mend, "precondition")
    driver = value.get("storage-driver", "")
    problem = driver_problem(driver, file_system(data_root)) if dedicated and data_root and not holds_data(data_root) else ""
    if problem:
        raise Failure(f"{path} names the storage driver {ascii(driver)[1:-1]}, {problem}.", mend, "precondition")
    if value.get("default-runtime") == "sysbox-runc":
        return f"{path} makes sysbox-runc the default runtime. That is left as it is, but containers then run under Sysbox without asking for it."
    return None


def link_of(subnet, routes, links):
    """Return the addresses of the engine's link. An empty `subnet` means a free one; one that is in use is refused."""
    free = containai_link.suggestion(routes, links)
    if not subnet:
        chosen = containai_link.choose(routes, links)
        if chosen is None:
            raise Failure(f"Every network that the engine's link could have is in use: {', '.join(containai_link.CANDIDATES)}.", use_of(free), "precondition")
        return containai_link.described(chosen)
    try:
        network = ipaddress.IPv4Network(subnet)
        found = containai_link.described(network)
        reason = refused_space(network)
    except ValueError as error:
        raise Failure(
            f"The variable docker_engine_link_subnet is {subnet!r}; an IPv4 network of at least two hosts is needed.", use_of(free), "precondition"
        ) from error
    if reason:
        raise Failure(f"The variable docker_engine_link_subnet is {subnet!r}, {reason}; a private network is needed.", use_of(free), "precondition")
    try:
        containai_link.check_free(network, routes, links)
    except containai_link.Taken as taken:
        raise Failure(f"The network {subnet} of the engine's link is in use by {taken}.", use_of(free), "precondition") from taken
    return found


def refused_space(network):
    """Say why no link can have these addresses; empty if it can."""
    kinds = (("loopback", "is_loopback"), ("multicast", "is_multicast"), ("link-local", "is_link_local"), ("reserved", "is_reserved"))
    return next(
        (f"which is {kind} space" for kind, name in kinds if getattr(network, name)),
        "which holds 0.0.0.0" if network.network_address == ipaddress.IPv4Address(0) else "",
    )


def use_of(free):
    if free is None:
        return "free a private network of four addresses, then name it: `cai setup -e docker_engine_link_subnet=NETWORK/30`"
    return f"use one that is free: `cai setup -e docker_engine_link_subnet={free}`, or leave it empty"
