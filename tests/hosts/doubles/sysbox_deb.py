"""Builds the Sysbox DOUBLE: a .deb with the original's name, version, files, services and manners.

It exists because the original cannot be downloaded everywhere; `SYSBOX_DEB` may name the original instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from ..shell import HostError, run

_PARTS = Path(__file__).resolve().parent / "sysbox_parts"
_SCRIPTS = ("config", "preinst", "postinst", "prerm", "postrm")
# These source debconf's library, which runs `config` first: so its refusal comes when the package is already unpacked.
_ASKING = ("config", "postinst", "postrm")
_UNITS = ("sysbox.service", "sysbox-fs.service", "sysbox-mgr.service")
_CONTROL = """Package: sysbox-ce
Version: {version}.linux
Section: admin
Priority: optional
Architecture: {arch}
Maintainer: test suite <root@localhost>
Pre-Depends: jq
Depends: debconf, jq, fuse, lsb-release, rsync, iptables, python3
Description: DOUBLE of Sysbox Community Edition, for tests only
 Same package name, version string, files, services and maintainer scripts' behaviour as the original.
"""


def file_name(version: str, arch: str) -> str:
    """What the release page calls the package of that version."""
    old = tuple(int(part) for part in version.split(".")) < (0, 6, 7)
    return f"sysbox-ce_{version}{'-0' if old else ''}.linux_{arch}.deb"


def _program(source: str, target: Path, version: str, isolating: bool) -> None:
    text = (
        (_PARTS / source).read_text().replace("@VERSION@", version).replace("@ISOLATING@", "yes" if isolating else "no")
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(0o755)


def build(out: Path, version: str = "0.7.1", arch: str = "amd64", *, isolating: bool = True) -> Path:
    """Build the package into folder `out`; returns its path.

    With isolating=False its runtime just runs runc, so that a verification can be seen to fail.
    """
    if not shutil.which("dpkg-deb"):
        raise HostError("dpkg-deb is needed to build the Sysbox double")
    out.mkdir(parents=True, exist_ok=True)
    target = out / file_name(version, arch)
    with tempfile.TemporaryDirectory(dir=out) as scratch:  # on the same file system: appears in one step
        root = Path(scratch, "root")
        _program("daemon.py", root / "usr/lib/sysbox-double/daemon.py", version, isolating)
        for name in ("mgr", "fs"):
            _program(f"{name}.py", root / f"usr/bin/sysbox-{name}", version, isolating)
        _program("runc.py", root / "usr/bin/sysbox-runc", version, isolating)
        for unit in _UNITS:
            _install(unit, root / "lib/systemd/system" / unit)
        _install("99-sysbox-sysctl.conf", root / "lib/sysctl.d/99-sysbox-sysctl.conf")
        control = root / "DEBIAN"
        control.mkdir(mode=0o755)
        (control / "control").write_text(_CONTROL.format(version=version, arch=arch))
        for script in _SCRIPTS:
            path = control / script
            head = (_PARTS / "common.sh").read_text() if script in _ASKING else "set -e\n"
            path.write_text(f"#!/bin/bash\n{head}{(_PARTS / script).read_text()}exit 0\n")
            path.chmod(0o755)
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        built = Path(scratch, target.name)
        run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, built], env={"SOURCE_DATE_EPOCH": "1700000000"})
        built.rename(target)
    return target


def _install(part: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_PARTS / part, target)
    target.chmod(0o644)


def chosen(out: Path) -> Path:
    """Return the original that `SYSBOX_DEB` names; where it names none, the double, built into folder `out`."""
    original = os.environ.get("SYSBOX_DEB")
    package = Path(original) if original else build(out)
    if not package.is_file():
        raise HostError(f"SYSBOX_DEB names {package}, which is not a file")
    return package.resolve()


def version_of(path: Path) -> str:
    """Return the version that setup is given together with the file."""
    return run(["dpkg-deb", "--field", path, "Version"]).stdout.strip().removesuffix(".linux").removesuffix("-0")


def sha256(path: Path) -> str:
    """The checksum that setup is given together with the file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
