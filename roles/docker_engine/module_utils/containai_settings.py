"""What a setting may hold where it ends in a unit file, in apt's sources or as a program's argument, and what is another engine's.

A unit splits its lines at white space and reads %, $, quotes and backslashes; apt's sources end a field at a line break. So nothing
of these is let in: what cannot stand there as itself is refused, before anything changes.
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from ansible.module_utils.containai_data_root import holds_data, refused
from ansible.module_utils.containai_engine_api import LONGEST
from ansible.module_utils.containai_storage import file_system, is_unfit

TEXT = {
    "path": (re.compile(r"(?!.*//)/(?!(?:.*/)?\.{1,2}(?:/|$))[\w.+@:,=~-][\w.+@:,=~/-]*"), "an absolute path of letters, digits and . _ + @ : , = ~ -"),
    "group": (re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}"), "a group's name"),
    "url": (re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+"), "a URL without white space"),
    "package": (re.compile(r"[a-z0-9][a-z0-9.+-]{1,99}"), "the name of a package"),
    "fingerprint": (re.compile(r"(?:[0-9A-Fa-f] *){40}"), "40 hexadecimal digits"),
    "version": (re.compile(r"[0-9][0-9A-Za-z.+~-]{0,63}"), "a version, such as 0.7.1"),
    "sha256": (re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits"),
    "proxy name": (re.compile(r"(?i)[a-z]+_proxy"), "the name of a proxy variable, such as HTTPS_PROXY"),
    "proxy": (re.compile(r"[ !#%-\[\]-_a-~]*"), "ASCII text without quotes, $ and backslashes (a URL writes them %22, %24, %5C)"),
}


class SettingError(ValueError):
    """The setting cannot be used; the text says which, and what is needed."""


def check(name, value, kind):
    """Raise SettingError unless `value` is a text of that kind."""
    pattern, needed = TEXT[kind]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        shown = ascii(value)
        raise SettingError(f"The variable {name} is {shown if len(shown) <= 80 else shown[:79] + '...'}; {needed} is needed.")


def check_dns(name, servers):
    for server in servers:
        try:
            address = ipaddress.ip_address(server)
        except ValueError as error:
            raise SettingError(f"The variable {name} holds {ascii(server)[:80]}; IP addresses are needed.") from error
        if getattr(address, "scope_id", None):
            raise SettingError(f"The variable {name} holds {ascii(server)[:80]}; an address without a scope is needed.")


def check_proxy(name, settings):
    for key, value in settings.items():
        check(name, key, "proxy name")
        check(f"{name}.{key}", value, "proxy")


def check_packages(name, packages):
    for package in packages:
        check(name, package, "package")


SPECIAL = {"dns": check_dns, "proxy": check_proxy, "allow_removal": check_packages}
KINDS = {
    "socket": "path", "data_root": "path", "daemon_json": "path", "group": "group",
    "apt_url": "url", "apt_key_url": "url", "apt_key_fingerprint": "fingerprint",
}  # fmt: skip
# Another role's, which has to move the same file.
NAMES = {"daemon_json": "sysbox_daemon_json"}


def check_all(settings, prefix):
    """Check {variable without the prefix: value}; every variable has to be known here."""
    for name, value in settings.items():
        if name in SPECIAL:
            SPECIAL[name](prefix + name, value)
        else:
            check(NAMES.get(name, prefix + name), value, KINDS[name])


# Who listens there is not ours: a dockerd would put its own socket in the place of theirs.
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/docker/containerd/containerd.sock")


def on_ipv6_loopback(address):
    """Whether a URL, or a host with or without a port, names [::1]: the host's IPv4 loopback is carried to dockerd, in its own namespace, and this is not."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname == "::1"
    except ValueError:
        return False


def check_places(settings, prefix):
    """Refuse, for an engine beside others, the places of others, and what it could not reach. The settings have passed check_all."""
    for name, value in settings.get("proxy", {}).items():
        if name.lower() != "no_proxy" and on_ipv6_loopback(value):
            raise SettingError(f"The variable {prefix}proxy.{name} names [::1], which the engine's network does not reach; 127.0.0.1 is needed.")
    socket, data_root = settings.get("socket"), settings.get("data_root")
    if socket and os.path.realpath(socket) in map(os.path.realpath, SOCKETS):
        raise SettingError(f"The variable {prefix}socket is {socket}, which is another engine's; a path of its own is needed.")
    if socket and len(os.fsencode(socket)) > LONGEST:
        raise SettingError(f"The variable {prefix}socket is {socket[:40]}..., of {len(os.fsencode(socket))} bytes; at most {LONGEST} are needed.")
    if socket and not os.path.isdir(os.path.dirname(os.path.realpath(socket))):
        raise SettingError(f"The variable {prefix}socket is {socket}, whose folder is not there; a path in a folder such as /run is needed.")
    reason = refused(data_root) if data_root else None
    if reason:
        raise SettingError(f"The variable {prefix}data_root is {data_root}, {reason}; a folder of its own is needed.")
    if data_root and not holds_data(data_root) and is_unfit(file_system(data_root)):
        kind = file_system(data_root)
        raise SettingError(f"The variable {prefix}data_root is {data_root}, which is on {kind}; a folder on ext4, xfs or btrfs is needed.")
