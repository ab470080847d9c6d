"""The host's packages without those that setup brought, and who removed or upgraded one."""

from __future__ import annotations

import contextlib
import re
import time

from ansible.module_utils.containai.apt_plan import OPTIONS
from ansible.module_utils.containai.process import output

HISTORY = "/var/log/apt/history.log"
OURS = OPTIONS[-1]  # in the command line of each apt-get of cai, and of nobody else


def packages(brought):
    """Return {package: version} of the installed packages except `brought`; nothing where there is no dpkg."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]
    rows = [line.split() for line in output(query).splitlines()]
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed" and row[1] not in brought}


def removed_by_others(name, since, history=HISTORY):
    """Whether apt's log says that another apt command took the package away since that time (seconds)."""
    for entry in _entries(since, history):
        if _tells(entry, "Remove|Purge|Downgrade", name):
            return OURS not in entry
    return False


def upgraded_by_cai(name, since, history=HISTORY):
    """Whether apt's log says that an apt-get of cai upgraded the package since that time (seconds), as `docker_engine_upgrade` asks for."""
    return any(OURS in entry and _tells(entry, "Upgrade", name) for entry in _entries(since, history))


def _entries(since, history):
    """Yield what apt did since then, the latest first."""
    with contextlib.suppress(OSError), open(history, encoding="utf-8", errors="replace") as handle:
        for entry in reversed(handle.read().split("\n\n")):
            began = re.search(r"^Start-Date: (\S+) +(\S+)$", entry, re.MULTILINE)
            if began and _seconds(*began.groups()) < since - 1:
                return
            yield entry


def _tells(entry, verbs, name):
    return re.search(rf"^(?:{verbs}): .*?(?<![\w.+-]){re.escape(name)}:", entry, re.MULTILINE)


def _seconds(day, clock):
    with contextlib.suppress(ValueError):
        return time.mktime(time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S"))
    return 0.0
