"""Read apt archives without apt: signed indexes, the newest versions, and what packages depend on."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

FIELDS = {
    "package", "version", "architecture", "depends", "pre-depends", "provides", "filename", "size", "sha256",
    "priority", "essential",
}  # fmt: skip

# The suites that the roles support, and where their distributions keep them. Debian's security updates are elsewhere.
DISTRIBUTIONS = {"jammy": "ubuntu", "noble": "ubuntu", "resolute": "ubuntu", "bookworm": "debian", "trixie": "debian"}
COMPONENTS = {"ubuntu": ("main", "universe"), "debian": ("main",)}
POCKETS = {
    "ubuntu": [("ubuntu", ""), ("ubuntu", "-updates"), ("ubuntu", "-security")],
    "debian": [("debian", ""), ("debian", "-updates"), ("debian-security", "-security")],
}
ARCHIVES = {
    "ubuntu": {"amd64": "http://archive.ubuntu.com/ubuntu", "arm64": "http://ports.ubuntu.com/ubuntu-ports"},
    "debian": dict.fromkeys(("amd64", "arm64"), "http://ftp.debian.org/debian"),
    "debian-security": dict.fromkeys(("amd64", "arm64"), "http://security.debian.org/debian-security"),
}
KEYRINGS = {name: f"/usr/share/keyrings/{name}-archive-keyring.gpg" for name in COMPONENTS}


class Failure(Exception):  # noqa: N818 - a failure of the run
    """What went wrong, and what to type."""

    def __init__(self, message, hint):
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Archive:
    """One suite of an archive, and the keys that its Release file must be signed with."""

    url: str
    suite: str
    components: tuple[str, ...]
    keyring: str
    # A suite such as noble-security that a mirror may lack.
    optional: bool = False


@dataclass
class Package:
    """A package as an index describes it."""

    fields: dict[str, str]
    url: str

    @property
    def name(self):
        """The package's name."""
        return self.fields["package"]

    @property
    def base(self):
        """Whether every system has it."""
        return self.fields.get("essential") == "yes" or self.fields.get("priority") == "required"


@dataclass
class Index:
    """The newest version of each package, and who provides what."""

    packages: dict[str, Package] = field(default_factory=dict)
    providers: dict[str, list[str]] = field(default_factory=dict)

    def add(self, package):
        """Keep the package unless a newer one is known."""
        known = self.packages.get(package.name)
        if known is None or newer(package.fields["version"], known.fields["version"]):
            self.packages[package.name] = package
        for name in names(package.fields.get("provides", "")):
            self.providers.setdefault(name[0], []).append(package.name)


def fetch(url, limit=1 << 30):
    """The bytes behind a URL."""
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 - file:// is a mirror on a disk
            return answer.read(limit)
    except (OSError, ValueError) as error:
        raise Failure(
            f"{url} could not be fetched: {error}.", "check the network, the proxy and the address"
        ) from error


def _release(archive):
    """The Release file of a suite, of which gpgv says that a key of the keyring signed it."""
    data = fetch(f"{archive.url}/dists/{archive.suite}/InRelease")
    with tempfile.TemporaryDirectory() as folder:
        signed, plain = Path(folder, "InRelease"), Path(folder, "Release")
        signed.write_bytes(data)
        command = ["gpgv", "--quiet", "--keyring", archive.keyring, "--output", str(plain), str(signed)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure(
                "gpgv is not installed on this machine; it is needed.", "run `apt-get install gpgv`"
            ) from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise Failure(
                f"{archive.url}/dists/{archive.suite}/InRelease has no valid signature of {archive.keyring}:"
                f" {said[0]}.",
                "check the address, and the keyring in `cai_bundle_keyrings`",
            )
        return plain.read_text(encoding="utf-8")


def _sums(release):
    section = re.search(r"(?m)^SHA256:\n((?: .*\n?)+)", release)
    rows = (line.split() for line in section[1].splitlines()) if section else ()
    return {name: (digest, int(size)) for digest, size, name in rows}


def checked(url, digest):
    """The bytes behind a URL, if they have that sha256."""
    data = fetch(url)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise Failure(
            f"{url} has the sha256 {found}; {digest} is needed.", "try again; a mirror may be half way updated"
        )
    return data


def stanzas(text):
    """The packages of an index, with the fields that matter."""
    for stanza in text.split("\n\n"):
        fields, last = {}, ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                if last:
                    fields[last] += " " + line.strip()
                continue
            name, _, value = line.partition(":")
            last = name.lower() if name.lower() in FIELDS else ""
            if last:
                fields[last] = value.strip()
        if {"package", "version", "filename", "sha256"} <= set(fields):
            yield fields


def read(archive, architecture, index):
    """Add the packages of a suite to the index."""
    try:
        sums = _sums(_release(archive))
    except Failure as error:
        if archive.optional and isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code == 404:
            return
        raise
    for component in archive.components:
        path = f"{component}/binary-{architecture}/Packages"
        wanted = next((name for name in (f"{path}.xz", f"{path}.gz", path) if name in sums), None)
        if wanted is None:
            continue
        data = checked(f"{archive.url}/dists/{archive.suite}/{wanted}", sums[wanted][0])
        plain = (
            lzma.decompress(data)
            if wanted.endswith(".xz")
            else gzip.decompress(data)
            if wanted.endswith(".gz")
            else data
        )
        for fields in stanzas(plain.decode(errors="replace")):
            index.add(Package(fields, f"{archive.url}/{fields['filename']}"))


def names(relation):
    """The groups of alternatives in a Depends or Provides field, without versions and architectures."""
    groups = []
    for group in relation.split(","):
        found = [re.split(r"[\s(:\[]", one.strip())[0] for one in group.split("|")]
        if found[0]:
            groups.append(tuple(found))
    return [group if len(group) > 1 else (group[0],) for group in groups]


def closure(index, roots):
    """The roots and all that they depend on, but for what every system has."""
    chosen, missing, queue = {}, [], [(root,) for root in roots]
    while queue:
        group = queue.pop(0)
        # What was asked for by name comes before what stands first among the alternatives.
        if any(_covers(index, name, {*chosen, *roots}) for name in group) and group[0] not in roots:
            continue
        name = next((found for found in (_candidate(index, name) for name in group) if found), None)
        if name is None:
            missing.append(" | ".join(group))
            continue
        package = index.packages[name]
        if name in chosen or (package.base and name not in roots):
            continue
        chosen[name] = package
        for key in ("pre-depends", "depends"):
            queue += names(package.fields.get(key, ""))
    return [chosen[name] for name in sorted(chosen)], missing


def _covers(index, name, chosen):
    return name in chosen or any(provider in chosen for provider in index.providers.get(name, ()))


def _candidate(index, name):
    if name in index.packages:
        return name
    return next(iter(sorted(index.providers.get(name, ()))), None)


def newer(one, other):
    """Whether a version is newer than another, as dpkg compares them."""
    return _key(one) > _key(other)


def _key(version):
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text):
    """Words and numbers by turns; a tilde sorts before the end, letters before other characters."""
    found = []
    for word, number in re.findall(r"(\D*)(\d*)", text):
        order = [-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in word]
        found.append(([*order, 0], int(number or 0)))
    return found
