"""What a setting may hold where it ends in a unit file, in apt's sources or as a program's argument.

A unit splits its lines at white space and reads %, $, quotes and backslashes; apt's sources end a field at a line break. So nothing
of these is let in: what cannot stand there as itself is refused, before anything changes.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ansible.module_utils.containai.errors import bad_setting

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


def check(name, value, kind):
    """Refuse it unless `value` is a text of that kind."""
    pattern, needed = TEXT[kind]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        shown = ascii(value)
        raise bad_setting(f"The variable {name} is {shown if len(shown) <= 80 else shown[:79] + '...'}; {needed} is needed.")


def check_dns(name, servers):
    for server in servers:
        try:
            address = ipaddress.ip_address(server)
        except ValueError as error:
            raise bad_setting(f"The variable {name} holds {ascii(server)[:80]}; IP addresses are needed.") from error
        if getattr(address, "scope_id", None):
            raise bad_setting(f"The variable {name} holds {ascii(server)[:80]}; an address without a scope is needed.")


def check_proxy(name, settings):
    for key, value in settings.items():
        check(name, key, "proxy name")
        check(f"{name}.{key}", value, "proxy")


def check_packages(name, packages):
    for package in packages:
        check(name, package, "package")


def on_ipv6_loopback(address):
    """Whether a URL, or a host with or without a port, names [::1]: the host's IPv4 loopback is carried to dockerd, in its own namespace, and this is not."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname == "::1"
    except ValueError:
        return False
