"""A real limactl for the tests: built once from its pinned module with Go, kept below `.cache/`."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.hosts import paths
from tests.hosts.shell import HostError, run, say

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
    if not _go():
        raise HostError("no real limactl: Go is not installed (or set LIMACTL to one)")
    start = time.monotonic()
    say(f"building limactl {VERSION} and its guest agent (about two minutes)")
    scratch = PREFIX / "build"
    _build(limactl, scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    stamp.write_text(VERSION)
    say(f"built limactl in {time.monotonic() - start:.0f} s")
    return limactl


def _go() -> str:
    """Path of Go, which its own installer puts where PATH need not lead; "" where there is none."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin") or ""


def _build(limactl: Path, scratch: Path) -> None:
    limactl.parent.mkdir(parents=True, exist_ok=True)
    env = {
        "GOMODCACHE": str(scratch / "mod"),
        "GOCACHE": str(scratch / "cache"),
        "GOFLAGS": "-modcacherw -mod=readonly",
    }
    # Not `go install MODULE@VERSION`: that also asks for the list of all versions, which not every module proxy has.
    download = run([_go(), "mod", "download", "-json", f"{MODULE}@{VERSION}"], env=env, check=False, timeout=300)
    try:
        source = json.loads(download.stdout)["Dir"]
    except (ValueError, KeyError) as error:
        raise HostError(
            f"no real limactl: its source cannot be had: {(download.stdout + download.stderr).strip()[-300:]}"
        ) from error
    flags = ["-ldflags", f"-s -w -X {MODULE}/pkg/version.Version={VERSION}"]
    run([_go(), "-C", source, "build", *flags, "-o", limactl, "./cmd/limactl"], env=env, timeout=1200)
    agent = scratch / "lima-guestagent"
    run(
        [_go(), "-C", source, "build", *flags, "-o", agent, "./cmd/lima-guestagent"],
        env={**env, "CGO_ENABLED": "0"},
        timeout=600,
    )
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
