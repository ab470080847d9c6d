"""The host's firewall rules as texts that can be compared: iptables (both backends), other nft tables, firewalld's zones. Our own rules are left out."""

from __future__ import annotations

import os
import re

from ansible.module_utils.containai.process import output, which
from ansible.module_utils.containai.systemd import unit_state

OURS = re.compile(r"CONTAINAI|containai|\bcai0\b")
# Chains and tables that other programs fill and empty all the time, by themselves.
MOVING = re.compile(
    r"\b(KUBE-|cali-|CNI-|NETAVARK|netavark|nv_[0-9a-f]|f2b-|fail2ban|sshguard|crowdsec|cilium|CILIUM|ts-(?:input|forward|postrouting)|flannel|FLANNEL)"
)
TABLE = re.compile(r"^table (\S+) (\S+) \{")
OF_IPTABLES = {"filter", "nat", "mangle", "raw", "security"}


def _say(*argv):
    return output(argv) if which(argv[0]) else ""


def rules():
    """Return {"iptables nat": [rules and policies], "nft inet firewalld": [...]}; nothing where only root could see them."""
    if os.geteuid() != 0:
        return {}
    found = {}
    for program in ("iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"):
        modules = f"/proc/net/{'ip6' if program.startswith('ip6') else 'ip'}_tables_names"
        if "legacy" in program and not _has(modules):  # asking would load the kernel's modules
            continue
        found.update(of_save(program, _say(f"{program}-save")))
    found.update(of_nft(_say("nft", "--stateless", "list", "ruleset")))
    return found


def _has(path):
    try:
        with open(path, encoding="ascii") as handle:
            return bool(handle.read().strip())
    except OSError:
        return False


def of_save(program, text):
    """Read the output of iptables-save."""
    found, lines = {}, []
    for line in text.splitlines():
        if line.startswith("*"):
            lines = found.setdefault(f"{program} {line[1:]}", [])
        elif line.startswith((":", "-A ")) and not OURS.search(line) and not MOVING.search(line):
            lines.append(re.sub(r" \[\d+:\d+\]$", "", line))
    return {table: lines for table, lines in found.items() if lines}


def of_nft(text):
    """Read the output of `nft list ruleset`, without the tables that iptables manages and without the elements of sets."""
    found, table, chain, skipped = {}, None, "", False
    for line in text.splitlines():
        opened = TABLE.match(line)
        if opened:
            family, name = opened.groups()
            of_iptables = family in ("ip", "ip6") and name in OF_IPTABLES
            table = None if of_iptables or OURS.search(name) or MOVING.search(name) else f"nft {family} {name}"
            found.update({table: []} if table else {})
        word = line.strip()
        if line.startswith("\t") and not line.startswith("\t\t"):
            skipped = word.startswith(("set ", "map ", "ct ", "flowtable "))
            chain = word.partition(" {")[0]
        elif line.startswith("\t\t") and table and not skipped and not OURS.search(line + chain) and not MOVING.search(line + chain):
            found[table].append(f"{chain}: {word}")
    return found


def zones():
    """Return {zone: lines} of firewalld; nothing where it does not run, or where only root may ask it."""
    if os.geteuid() != 0 or unit_state("firewalld.service").get("ActiveState") != "active":
        return {}
    return of_zones(_say("firewall-cmd", "--list-all-zones"))


def of_zones(text):
    """Read the output of `firewall-cmd --list-all-zones`."""
    found, zone = {}, ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "\t")):
            zone = line.split()[0]
            found[zone] = []
        elif line.strip() and zone:
            found[zone].append(" ".join(word for word in line.split() if not OURS.search(word)))
    return found
