"""This machine's own apt sources and trust, carried over to a test host (no mirror's name stands in the repository)."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import paths
from .shell import HostError, run

_APT = Path("/etc/apt")
_SUITES = {"bookworm": "debian", "trixie": "debian", "jammy": "ubuntu", "noble": "ubuntu", "resolute": "ubuntu"}
_KEYRINGS = Path("/usr/share/keyrings")
_UBUNTU = "ubuntu-archive-keyring.gpg"
_COMPONENTS = {"debian": "main", "ubuntu": "main universe"}


@dataclass(frozen=True)
class Source:
    """One archive: its address and the suites to read there."""

    uri: str
    suites: tuple[str, ...]


def family(suite: str) -> str:
    """`debian` or `ubuntu`."""
    try:
        return _SUITES[suite]
    except KeyError:
        raise HostError(f"unknown suite {suite}; known: {', '.join(_SUITES)}") from None


def keyring(suite: str) -> Path:
    """The archive's keys. Ubuntu's are fetched from Debian, whose signature vouches for them, where they are missing."""
    if family(suite) == "debian":
        return _KEYRINGS / "debian-archive-keyring.gpg"
    if (_KEYRINGS / _UBUNTU).exists():
        return _KEYRINGS / _UBUNTU
    kept = paths.IMAGES / _UBUNTU
    if not kept.exists():
        _fetch_ubuntu_keyring(kept)
    return kept


def _fetch_ubuntu_keyring(target: Path) -> None:
    """Take the keyring out of Debian's ubuntu-keyring package with an apt that has its own lists and no say in this machine's."""
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.IMAGES) as folder:
        scratch = Path(folder)
        for part in ("lists/partial", "cache/archives/partial", "parts", "unpacked"):
            (scratch / part).mkdir(parents=True)
        (scratch / "debian.sources").write_text(deb822("trixie"))
        options = {
            "Dir::Etc::sourcelist": scratch / "debian.sources",
            "Dir::Etc::sourceparts": scratch / "parts",
            "Dir::State::lists": scratch / "lists",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
        run([*apt, "update"])
        run(["sh", "-c", f'cd "{scratch}" && "$@"', "sh", *apt, "download", "ubuntu-keyring"])
        run(["dpkg-deb", "-x", next(scratch.glob("*.deb")), scratch / "unpacked"])
        shutil.copyfile(next((scratch / "unpacked").rglob(_UBUNTU)), target)


def _entries() -> list[Source]:
    found = []
    for path in sorted(_APT.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.+)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                suites = tuple(fields.get("Suites", "").split())
                found += [Source(uri, suites) for uri in fields.get("URIs", "").split()]
    for path in [_APT / "sources.list", *sorted(_APT.glob("sources.list.d/*.list"))]:
        text = path.read_text() if path.exists() else ""
        for uri, suite in re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
            found.append(Source(uri, (suite,)))
    return found


def sources(suite: str) -> list[Source]:
    """The archives for a suite, derived from those this machine uses for its own."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    own, wanted = release.get("VERSION_CODENAME", ""), family(suite)
    derived = []
    for entry in _entries():
        suites = tuple(name.replace(own, suite) for name in entry.suites if name.partition("-")[0] == own)
        name = entry.uri.rstrip("/").rpartition("/")[2]
        if suites and name in (wanted, f"{wanted}-security"):
            derived.append(Source(entry.uri, suites))
        elif suites and name == "debian" and wanted == "ubuntu":
            uri = re.sub(r"debian/?$", "ubuntu", entry.uri)
            derived.append(Source(uri, (suite, f"{suite}-updates", f"{suite}-security")))
    if not derived:
        raise HostError(f"this machine's apt sources name no {wanted} archive, so no {suite} host can be built")
    return derived


def deb822(suite: str) -> str:
    """The host's /etc/apt/sources.list.d/*.sources."""
    stanza = "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n"
    if family(suite) == "debian":
        # Ubuntu's keys are trusted through trusted.gpg.d in the host: their path need not exist on this machine.
        stanza += f"Signed-By: {keyring(suite)}\n"
    parts = _COMPONENTS[family(suite)]
    return "\n".join(stanza.format(source.uri, " ".join(source.suites), parts) for source in sources(suite))


def acquire_options() -> str:
    """This machine's apt `Acquire` settings (proxies, validity checks), as an apt.conf file."""
    dump = run(["apt-config", "dump", "Acquire"]).stdout
    wanted = [line for line in dump.splitlines() if re.search(r'^Acquire::[\w:-]+ "[^"]+";$', line)]
    kept = [
        line
        for line in wanted
        if not re.match(r"Acquire::(cdrom|Changelogs|CompressionTypes|IndexTargets|Languages|Allow)", line)
    ]
    return "\n".join(kept) + "\n"


def extra_certificates() -> list[Path]:
    """Certificate authorities that this machine trusts beyond its distribution's."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
