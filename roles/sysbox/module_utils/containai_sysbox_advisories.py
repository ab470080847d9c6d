"""Weaknesses of the installed Sysbox that a newer one mends, and the way to it."""

from __future__ import annotations

import os

from ansible.module_utils.containai.findings import finding
from ansible.module_utils.containai_sysbox_deb import installed, newer

ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}


def weaknesses(advisories, known):
    """Return the finding about the advisories that concern the installed Sysbox; none where there are none. `known`: versions with known checksums."""
    version, found = open_ones(advisories) if advisories else (None, [])
    return [finding("Sysbox advisories", "warn", told(version, found), way(found, known))] if found else []


def open_ones(advisories):
    """Return (the installed version, the advisories that concern it, the oldest first)."""
    version, _ = installed()
    return version, [advisory for advisory in advisories if version and newer(advisory["fixed_in"], version)]


def told(version, found):
    """Return one sentence about all of them."""
    return f"Sysbox {version} has known weaknesses: " + "; ".join(f"{one['what']} (mended in {one['fixed_in']}, {one['source']})" for one in found) + "."


def way(found, known):
    """Return how to move to the version that mends them all; its checksum has to be given where cai does not know it."""
    target = found[-1]
    version = target["fixed_in"]
    for other in found:
        if newer(other["fixed_in"], version):
            target, version = other, other["fixed_in"]
    if version in known:
        return f"run `cai setup -e sysbox_version={version}`"
    architecture = ARCHITECTURES.get(os.uname().machine, "amd64")
    return (
        f"take the sha256 of sysbox-ce {version} for {architecture} from {target['source']}, then run "
        f'`cai setup -e sysbox_version={version} -e \'sysbox_sha256={{"{architecture}": "..."}}\'`'
    )
