"""What is on a host besides its distribution: named setups, each a folder of `files/setups`, made once as a layer on the suite's image.

`layer.sh` installs (in a container without systemd; kept as an image), `boot.sh` runs before systemd at every boot, `up.sh` runs once when the host is up.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from . import engine, image, paths
from .shell import HostError, say

_FOLDER = paths.FILES / "setups"
PLAIN = "plain"
# Lists are as old as the image: asked for again only when something is no longer where they say.
_PREAMBLE = """set -eu
export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install -y -q --no-install-recommends "$@" || { apt-get update -q; apt-get install -y -q --no-install-recommends "$@"; }
}
"""


def names() -> list[str]:
    """All setups."""
    return [PLAIN, *sorted(folder.name for folder in _FOLDER.iterdir())]


def scripts(setup: str, name: str) -> list[Path]:
    """The files of that name, in the order of the setup's parts."""
    parts = [part for part in setup.split("+") if part != PLAIN]
    for part in parts:
        if not (_FOLDER / part).is_dir():
            raise HostError(f"unknown setup {part}; known: {', '.join(names())}")
    return [path for path in (_FOLDER / part / name for part in parts) if path.exists()]


def ensure(suite: str, setup: str = PLAIN) -> str:
    """The image of a suite with a setup; made when the engine does not have it. Returns its name in the engine."""
    base = image.ensure(suite)
    layers = scripts(setup, "layer.sh")
    if not layers:
        return base
    recipe = _PREAMBLE + "".join(path.read_text() for path in layers)
    key = hashlib.sha256(f"{base}\0{recipe}".encode()).hexdigest()[:12]
    made = f"cai-host:{suite}-{setup.replace('+', '.')}-{key}"
    if engine.docker("images", "-q", made):
        return made
    with image.alone(f"{suite}-{setup}"):
        if not engine.docker("images", "-q", made):
            _make(base, recipe, made)
    return made


def _make(base: str, recipe: str, made: str) -> None:
    start = time.monotonic()
    say(f"installing {made}")
    scratch = f"cai-layer-{made.rpartition('-')[2]}"
    engine.docker("rm", "--force", scratch, check=False)
    try:
        engine.docker("run", "--interactive", "--name", scratch, base, "sh", "-s", stdin=recipe)
        engine.docker("commit", "--change", 'CMD ["/init.sh"]', scratch, made)
    finally:
        engine.docker("rm", "--force", "--volumes", scratch, check=False)
    say(f"made {made} in {time.monotonic() - start:.0f} s")
