"""Docker's apt repository: its two files, the key that it must have, and the host's own entry where there is one."""

from __future__ import annotations

import http.client
import os
import urllib.request

from ansible.module_utils import containai_apt_sources
from ansible.module_utils.containai import apt
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.proxy import through
from ansible.module_utils.containai.record import digest, read, replace
from ansible.module_utils.containai_openpgp import dearmored, is_key, primary_fingerprints

KEYRING = "/etc/apt/keyrings/containai-docker.gpg"
SOURCES = "/etc/apt/sources.list.d/containai-docker.sources"


def fetch_key(url, fingerprint):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read(1 << 20)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failure(
            f"The key of Docker's repository could not be fetched from {url}{through(url)}: {error}.",
            apt.clock_hint(str(error)) or "check the network, or name a mirror: `-e docker_engine_apt_key_url=...`",
        ) from error
    try:
        found = primary_fingerprints(data)
    except (ValueError, IndexError, OverflowError) as error:
        raise Failure(f"{url} does not answer with an OpenPGP key.", "check the address in `docker_engine_apt_key_url`") from error
    if found != [fingerprint.replace(" ", "").upper()]:
        raise Failure(
            f"The key at {url} has the fingerprint {', '.join(found) or 'of no key'}; {fingerprint} is needed.",
            "do not go on before you know why; a mirror with a key of its own needs `-e docker_engine_apt_key_fingerprint=...`",
        )
    return dearmored(data)


def known(url, params):
    """Whether the host has that repository with the pinned key already; one with another key is refused, since ours beside it would stop apt altogether."""
    for path, components, key in containai_apt_sources.naming(url, params["host"]["codename"], SOURCES):
        if not is_key(containai_apt_sources.key_bytes(key), params["apt_key_fingerprint"]) or "stable" not in components:
            named = f"with the key {key.split()[0]}" if key and "\n" not in key else "with a key of its own" if key else "without Signed-By"
            raise Failure(
                f"{path} names Docker's repository {named}; needed is its component stable with the key {params['apt_key_fingerprint']}, or no entry.",
                f"look at it with `cat {path}` and take the entry out, or use the distribution's Docker: `cai setup -e docker_engine_source=distro`",
                "precondition",
            )
        return True
    return False


def files(params, check_mode):
    """Return the two files of Docker's repository: {path: wanted bytes}; the key is fetched where it is not there yet."""
    host = params["host"]
    place = {name: params[name].replace("{distribution}", host["distribution"]) for name in ("apt_url", "apt_key_url")}
    if known(place["apt_url"], params):
        return {}
    key = read(KEYRING)
    if not is_key(key, params["apt_key_fingerprint"]):
        key = b"" if check_mode else fetch_key(place["apt_key_url"], params["apt_key_fingerprint"])
    lines = [
        "# Made by cai.",
        "Types: deb",
        f"URIs: {place['apt_url']}",
        f"Suites: {host['codename']}",
        "Components: stable",
        f"Architectures: {host['architecture']}",
        f"Signed-By: {KEYRING}",
        "",
    ]
    return {KEYRING: key, SOURCES: "\n".join(lines).encode()}


def give_back(record):
    """Put back what stood at the two files of Docker's repository: one that apt cannot use stops apt altogether. Return whether ours was there."""
    entries = {path: record.data.get("files", {}).get(path) for path in (SOURCES, KEYRING)}
    for path, entry in entries.items():
        if entry is None or digest(read(path)) != entry["after"]:
            continue
        before = read(entry["backup"]) if entry["backup"] else None
        if before is not None:
            replace(path, before)
        elif entry["before"] is None and os.path.exists(path):
            os.unlink(path)
    return entries[SOURCES] is not None
