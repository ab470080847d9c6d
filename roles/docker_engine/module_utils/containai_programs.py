"""The programs that the engine needs on a host, and whether they are all there."""

from __future__ import annotations

import os

from ansible.module_utils.containai import process
from ansible.module_utils.containai.docker_cli import find
from ansible.module_utils.containai.record import Record

# With the package that brings each.
TOOLS = {"ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux"}
VM_TOOLS = {"iptables": "iptables", "nft": "nftables"}
DOCKER = "/usr/bin/docker"


def cli_works():
    """Whether a docker CLI is there. A dangling link counts: it is Docker Desktop's, and its program comes back with it."""
    return bool(find(["docker"], process.PATH)) or (os.path.islink(DOCKER) and not os.path.exists(DOCKER))


def tools(dedicated):
    """The programs that the engine needs beside Docker's own, with the package that brings each."""
    return TOOLS if dedicated else VM_TOOLS


def complete(dedicated=True):
    """Whether nothing is to be installed, and no installation was cut off."""
    try:
        cut_off = Record().unfinished_installation("docker")
    except OSError:  # another module's to refuse
        return False
    return not cut_off and cli_works() and all(map(process.which, (*tools(dedicated), "dockerd", "containerd")))
