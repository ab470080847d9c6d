"""Which of the host's apt sources name a repository already. apt reads none of its sources when two of them name one repository with different keys."""

from __future__ import annotations

import glob
import os
import re

APT = "/etc/apt"
ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<url>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")


def entries(but):
    """Yield (file, urls, suites, components, key) of every binary source that is on, but of the file `but`; the key is as it stands there."""
    files = [f"{APT}/sources.list", *sorted(glob.glob(f"{APT}/sources.list.d/*.list")), *sorted(glob.glob(f"{APT}/sources.list.d/*.sources"))]
    for path in files:
        if path != but and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as handle:
                yield from ((path, *entry) for entry in (_stanzas if path.endswith(".sources") else _lines)(handle.read()))


def _lines(text):
    for line in text.splitlines():
        found = ONE_LINE.match(line.strip())
        if found:
            key = re.search(r"(?i)signed-by=(\S+)", found["options"] or "")
            yield [found["url"]], [found["suite"]], found["components"].split(), key[1] if key else ""


def _stanzas(text):
    for stanza in re.split(r"\n[ \t]*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        pairs = re.findall(r"(?m)^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", stanza)
        fields = {name.lower(): value.strip() for name, value in pairs}
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false", "0"):
            yield *(fields.get(name, "").split() for name in ("uris", "suites", "components")), fields.get("signed-by", "")


def naming(url, suite, but):
    """Return (file, components, key) of every source of that repository and suite."""
    same = [entry for entry in entries(but) if url.rstrip("/") in (one.rstrip("/") for one in entry[1]) and suite in entry[2]]
    return [(path, components, key) for path, _, _, components, key in same]


def key_bytes(key):
    """The bytes of a Signed-By, which is a file or the key itself; None where there is no such file."""
    if "\n" in key:
        return "\n".join("" if line.strip() == "." else line.strip() for line in key.splitlines()).encode()
    try:
        with open(key, "rb") as handle:
            return handle.read()
    except OSError:
        return None
