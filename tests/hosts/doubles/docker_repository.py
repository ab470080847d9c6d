"""Builds a DOUBLE of Docker's apt repository: signed as the original is, with packages of the original's names.

The packages are the distribution's own Docker under those names, maintainer scripts included: what is shown is the way there
(key, fingerprint, `signed-by`, package names, services that must not start). Their dockerd is the distribution's too, or the
newest release, built from its source (`newest`). The key is new each time.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
import time
from pathlib import Path

from .. import engine, golang, host, paths
from ..shell import apt_install, run, say

# Name there: name in the distribution (bookworm and Ubuntu; Debian 13 has the CLI in a package of its own). None: an empty package.
PACKAGES = {"docker-ce": "docker.io", "docker-ce-cli": None, "containerd.io": "containerd"}
_CONTROL = (
    "Package: {name}\nVersion: 0\nArchitecture: all\nMaintainer: test suite <root@localhost>\nDescription: DOUBLE\n"
)
_DROPPED = ("Source", "Conflicts", "Replaces", "Breaks", "Provides", "Recommends", "Suggests", "Built-Using")


IN_HOST = "/srv/docker-repository"
# The release that the Go module is of; a pre-release of the module is a release of Docker.
NEWEST, MODULE, MODULE_VERSION = "29.9.3", "github.com/moby/moby/v2", "v2.0.0-beta.24"


def newest() -> Path:
    """The folder with the newest dockerd and docker-proxy, built with Go (some ten minutes on two processors) and kept."""
    folder = paths.CACHE / f"docker-{NEWEST}"
    if folder.exists():
        return folder
    start = time.monotonic()
    say(f"building Docker {NEWEST} (about ten minutes)")
    scratch = paths.CACHE / "docker-build"
    made = {f"./cmd/{program}": scratch / "out" / program for program in ("dockerd", "docker-proxy")}
    golang.build(MODULE, MODULE_VERSION, made, scratch, f"-X {MODULE}/dockerversion.Version={NEWEST}")
    (scratch / "out").rename(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    say(f"built Docker {NEWEST} in {time.monotonic() - start:.0f} s")
    return folder


def install(name: str, programs: Path | None = None) -> str:
    """Put the repository into a running host, made of what its own apt offers; returns the key's fingerprint.

    `programs`: a folder with the dockerd and docker-proxy that the packages get. The fingerprint also stands in `.cache/docker-repository/NAME/fingerprint`, for inventories.
    """
    if not shutil.which("gpg"):
        apt_install("gnupg")
    work = paths.CACHE / "docker-repository" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    wanted = " ".join(source for source in PACKAGES.values() if source)
    host.execute(name, "sh", "-ec", f"mkdir -p /var/tmp/debs; cd /var/tmp/debs; apt-get -qq download {wanted}")
    engine.docker("cp", f"{host.container(name)}:/var/tmp/debs", work / "debs")
    codename = host.execute(name, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()
    fingerprint = build(work / "docker-repository", codename, work / "debs", programs)
    host.copy(name, work / "docker-repository", "/srv/")
    host.execute(name, "chmod", "-R", "a+rX", IN_HOST)
    (work / "fingerprint").write_text(fingerprint)
    return fingerprint


def build(out: Path, codename: str, debs: Path, programs: Path | None = None) -> str:
    """Build the repository into folder `out` from Debian's packages in `debs`; returns the fingerprint of its key, the file `gpg`."""
    shutil.rmtree(out, ignore_errors=True)
    packages = out / "dists" / codename / "stable" / "binary-amd64"
    packages.mkdir(parents=True)
    index = "".join(_package(out, name, debs, source, programs) for name, source in PACKAGES.items()).encode()
    (packages / "Packages").write_bytes(index)
    (packages / "Packages.gz").write_bytes(gzip.compress(index))
    release = out / "dists" / codename / "Release"
    release.write_text(_release(codename, release.parent))
    return _sign(out, release)


def _package(out: Path, name: str, debs: Path, source: str | None, programs: Path | None) -> str:
    """Build one package; returns its paragraph of the index."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        if source:
            run(["dpkg-deb", "--raw-extract", next(debs.glob(f"{source}_*.deb")), root])
            for program in programs.iterdir() if programs else ():
                for path in root.glob(f"usr/*bin/{program.name}"):
                    shutil.copy(program, path)
        else:
            (root / "DEBIAN").mkdir(parents=True)
            (root / "DEBIAN" / "control").write_text(_CONTROL.format(name=name))
        control = _renamed((root / "DEBIAN" / "control").read_text(), name)
        (root / "DEBIAN" / "control").write_text(control)
        for folder in (root, root / "DEBIAN"):
            folder.chmod(0o755)
        target = out / "pool" / f"{name}.deb"
        target.parent.mkdir(exist_ok=True)
        run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, target])
    data = target.read_bytes()
    return f"{control}Filename: pool/{name}.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"


def _renamed(control: str, name: str) -> str:
    """Give a control file the name, without what ties it to Debian's name."""
    kept, keep = [], True
    for line in control.splitlines():
        keep = keep if line.startswith(" ") else line.partition(":")[0] not in (*_DROPPED, "Package", "Version")
        kept += (
            [
                re.sub(r"containerd \([^)]*\)|\bcontainerd\b(?!\.io)", "containerd.io", line)
                if line.startswith("Depends")
                else line
            ]
            if keep
            else []
        )
    return "\n".join([f"Package: {name}", "Version: 5:99.0.0-1~double", *kept, ""])


def _release(codename: str, folder: Path) -> str:
    lines = [f"Suite: {codename}", f"Codename: {codename}", "Components: stable", "Architectures: amd64", "SHA256:"]
    for path in sorted(folder.rglob("Packages*")):
        data = path.read_bytes()
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path.relative_to(folder)}")
    return "\n".join([*lines, ""])


def _sign(out: Path, release: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        try:
            run([*gpg, "--passphrase", "", "--quick-generate-key", "double@localhost", "rsa2048", "sign", "never"])
            run([*gpg, "--clearsign", "--output", release.with_name("InRelease"), release])
            run([*gpg, "--armor", "--output", out / "gpg", "--export", "double@localhost"])
            listing = run([*gpg, "--with-colons", "--list-keys"]).stdout
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
