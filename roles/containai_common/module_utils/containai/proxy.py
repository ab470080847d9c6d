"""The proxies for what a module downloads: handed over as a parameter, since sudo drops those of the environment, and everybody may read a command line."""

from __future__ import annotations

import json
import os
import urllib.request
from urllib.parse import urlsplit


def use(settings):
    """Have this process, and the programs it starts, use these: JSON text of {name: address}. Where a name stands in both spellings,
    the lower one counts, as for curl.

    Text, since the values of a hidden parameter are blotted out of all that a module says: as single ones, a NO_PROXY=localhost would go through every message.
    """
    for name, value in sorted(json.loads(settings or "{}").items()):
        if value:
            os.environ[name.lower()] = value  # apt reads no other spelling


def through(url):
    """Say " through the proxy HOST:PORT" where one is used for `url`, without its user and password."""
    parts = urlsplit(url)
    address = urllib.request.getproxies().get(parts.scheme, "")
    if not address or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {address.rpartition('@')[2].rpartition('://')[2].rstrip('/')}"
