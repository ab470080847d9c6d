"""Hosts in a state that took a while to make: kept as an image with the contents of their volumes, named after what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from . import engine, host, image, paths, setups
from .shell import say

_REPOSITORY = "cai-state"
# Unpacked by init.sh. Not part of the image's own files: overlayfs would take a nested overlay's whiteouts for its own.
_VOLUMES = "/var/lib/test-host-volumes.tar"


def ensure(wanted: host.Wanted, state: str, made_from: Iterable[str], make: Callable[[str], None]) -> str:
    """The image of a host in that state; `make` brings the wanted one there, given its name. Returns the image's name in the engine."""
    engine.up()
    like = f"{wanted.suite}-{wanted.dress}-{wanted.setups.replace('+', '.')}-{state}"
    base = wanted.image or setups.ensure(wanted.suite, wanted.setups)
    parts = (base, (paths.FILES / "init.sh").read_text(), *made_from)
    tag = f"{like}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"
    name = f"{_REPOSITORY}:{tag}"
    if not engine.docker("images", "-q", name):
        with image.alone(like):
            if not engine.docker("images", "-q", name):
                fresh = dataclasses.replace(wanted, name=f"make-{tag.rpartition('-')[2]}", kind="none")
                _make(fresh, name, make)
                _forget(like, name)
    return name


def _make(wanted: host.Wanted, name: str, make: Callable[[str], None]) -> None:
    start = time.monotonic()
    say(f"making {name}")
    try:
        host.up(wanted)
        make(wanted.name)
        made = time.monotonic()
        _keep(wanted.name, name)
    finally:
        host.down(wanted.name)
    say(f"made {name}: {made - start:.0f} s, and {time.monotonic() - made:.0f} s to keep it")


def _keep(name: str, kept: str) -> None:
    """Stop the host as a machine is switched off, and commit it."""
    container = host.container(name)
    engine.docker("stop", "--time", "90", container)
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as folder:
        tar = "tar --xattrs --xattrs-include=* --numeric-owner -C / -cf /out/volumes.tar"
        inside = " ".join(path.lstrip("/") for path in host.VOLUMES)
        out = ("--volumes-from", container, "--volume", f"{folder}:/out")
        engine.docker("run", "--rm", *out, image.ensure(_suite(kept)), "sh", "-c", f"{tar} {inside}")
        engine.docker("cp", Path(folder) / "volumes.tar", f"{container}:{_VOLUMES}")
    engine.docker("commit", container, kept)


def _suite(kept: str) -> str:
    return kept.partition(":")[2].partition("-")[0]


def _forget(like: str, but: str) -> None:
    """Remove what was kept of the same kind before; what a host still runs from stays."""
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}", _REPOSITORY).split()
    for name in listed:
        if name.rpartition("-")[0] == f"{_REPOSITORY}:{like}" and name != but:
            engine.docker("rmi", name, check=False)
