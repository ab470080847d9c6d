"""A QEMU that emulates fast enough: this machine's own from version 9 on, or Debian's newer one, unpacked into the cache and run with its own libraries."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from tests.hosts import aptsources, paths
from tests.hosts.shell import HostError, run, say

from . import reach

SUITE = "trixie"
_PROGRAM = "qemu-system-x86_64"
_ENOUGH = 9  # with version 7, the guest was seen to need half as much time again
_PACKAGES = "qemu-system-x86,seabios"


def _own() -> list[str]:
    found = re.search(r"version (\d+)", run([_PROGRAM, "--version"]).stdout)
    return [_PROGRAM] if found and int(found[1]) >= _ENOUGH else []


def _folder() -> Path:
    texts = (SUITE, _PACKAGES, aptsources.deb822(SUITE), aptsources.acquire_options())
    return paths.IMAGES / f"qemu-{SUITE}-{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:12]}"


def _unpack(folder: Path) -> None:
    start = time.monotonic()
    say("fetching a newer QEMU (about half a minute)")
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.IMAGES) as scratch:
        work = Path(scratch)
        (work / "sources").write_text(aptsources.deb822(SUITE))
        (work / "conf").write_text(aptsources.acquire_options() + 'Acquire::Languages "none";\nAcquire::Retries "3";\n')
        words = [
            "mmdebstrap",
            "--mode=root",
            "--variant=extract",
            f"--include={_PACKAGES}",
            f"--aptopt={work / 'conf'}",
        ]
        words += ['--aptopt=APT::Install-Recommends "false"', SUITE, str(work / "root"), str(work / "sources")]
        run(["unshare", "--mount", "--propagation", "private", *words], timeout=900)
        kept = work / "kept"
        for part in ("bin/qemu-system-x86_64", "lib/x86_64-linux-gnu", "share/qemu", "share/seabios"):
            (kept / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(work / "root/usr" / part, kept / part)
        kept.chmod(0o755)
        kept.rename(folder)
    say(f"unpacked {folder.name} in {time.monotonic() - start:.0f} s")


def words(room: Path) -> list[str]:
    """How to run it, as an ordinary user."""
    own = _own()
    if own:
        return own
    folder = _folder()
    if not folder.exists():
        if os.geteuid() != 0:
            raise HostError(
                "this QEMU emulates too slowly, and unpacking a newer one needs root\n hint: run this as root once"
            )
        _unpack(folder)
    root = reach.within_reach(folder, room)
    libraries = root / "lib/x86_64-linux-gnu"
    start = [
        "env",
        f"QEMU_MODULE_DIR={libraries}/qemu",
        f"{libraries}/ld-linux-x86-64.so.2",
        "--library-path",
        str(libraries),
    ]
    return [*start, f"{root}/bin/{_PROGRAM}", "-L", f"{root}/share/qemu", "-L", f"{root}/share/seabios"]
