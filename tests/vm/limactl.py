"""A real limactl for the tests: built once from its pinned module with Go, kept below `.cache/`."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.hosts import golang, paths
from tests.hosts.shell import HostError, say

from . import reach

VERSION = "v2.2.0"
MODULE = "github.com/lima-vm/lima/v2"
PREFIX = paths.CACHE / "lima"


def ensure() -> Path:
    """Path of limactl; HostError with the reason where it cannot be had."""
    given = os.environ.get("LIMACTL")
    if given:
        return Path(given)
    limactl, stamp = PREFIX / "bin" / "limactl", PREFIX / "VERSION"
    if stamp.exists() and stamp.read_text() == VERSION:
        return limactl
    start = time.monotonic()
    say(f"building limactl {VERSION} and its guest agent (about two minutes)")
    scratch = PREFIX / "build"
    try:
        _build(limactl, scratch)
    except HostError as error:
        raise HostError(f"no real limactl: {error} (or set LIMACTL to one)") from error
    shutil.rmtree(scratch, ignore_errors=True)
    stamp.write_text(VERSION)
    say(f"built limactl in {time.monotonic() - start:.0f} s")
    return limactl


def _build(limactl: Path, scratch: Path) -> None:
    flag = f"-X {MODULE}/pkg/version.Version={VERSION}"
    golang.build(MODULE, VERSION, {"./cmd/limactl": limactl}, scratch, flag)
    agent = scratch / "lima-guestagent"
    golang.build(MODULE, VERSION, {"./cmd/lima-guestagent": agent}, scratch, flag, cgo=False)
    share = PREFIX / "share" / "lima"
    share.mkdir(parents=True, exist_ok=True)
    with gzip.open(share / f"lima-guestagent.Linux-{os.uname().machine}.gz", "wb") as packed:
        packed.write(agent.read_bytes())


def within_reach(limactl: Path, room: Path) -> Path:
    """limactl, with the guest agent that it looks for beside itself, where somebody ordinary can run it."""
    if reach.reachable(limactl):
        return limactl
    prefix = reach.within_reach(limactl.parent.parent, room)
    return prefix / "bin" / limactl.name


def call(limactl: Path, home: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run limactl as somebody ordinary: it refuses root. `home` is a folder that everyone may read."""
    command = [str(limactl), *map(str, argv)]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LIMA_HOME": str(home / "lima")}
    if os.geteuid() == 0:
        os.chown(home, reach.NOBODY, reach.NOBODY)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd="/", **reach.as_nobody())
