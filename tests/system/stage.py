"""What the tests with the real `cai` put on a host: its wheel in an environment of its own, Sysbox packages, an image."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.hosts import engine, host, image, kept, paths
from tests.hosts.doubles import sysbox_deb
from tests.system.box import Box, quoted

WORK = paths.CACHE / "system"
DEBS = "/opt/debs"
KEPT_SECONDS = 4 * 3600  # a session that began earlier may still use its own
PYTHON = {"bookworm": "3.11", "trixie": "3.13", "noble": "3.12", "resolute": "3.14"}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One test process at a time makes what all share."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", *map(str, words), "-q"], check=True, cwd=paths.ROOT)


def _wheels() -> Path:
    """Build the wheel, and gather what it depends on for the Python of each suite."""
    made = paths.CACHE / "wheels"
    for old in made.glob("containai_cai-*"):
        old.unlink()
    _pip("wheel", ".", "--no-deps", "--no-build-isolation", "-w", made)
    return made


def _foreign(wheels: Path, version: str, core: str) -> Path:
    """The dependencies for a Python that is not this one: fetched, not built. `core`: the minor release of ansible-core, "" for any."""
    target = WORK / f"wheels-{version}{core and '-core-'}{core}"
    wanted = hashlib.sha256((paths.ROOT / "pyproject.toml").read_bytes()).hexdigest()
    mark = target / ".made-for"
    if not mark.exists() or mark.read_text() != wanted:
        platforms = [word for glibc in (17, 28, 34) for word in ("--platform", f"manylinux_2_{glibc}_x86_64")]
        _pip(
            "download",
            "--python-version",
            version,
            "--only-binary=:all:",
            *platforms,
            "-d",
            target,
            "--find-links",
            wheels,
            "containai-cai",
            *([f"ansible-core=={core}.*"] if core else []),
        )
        mark.write_text(wanted)
    for old in target.glob("containai_cai-*"):
        old.unlink()
    for wheel in wheels.glob("containai_cai-*"):
        shutil.copy(wheel, target)
    return target


def _environment(suite: str, wheels: Path, core: str) -> Path:
    """A virtual environment made by the suite's own Python, from the wheels and nothing else."""
    dependencies = _foreign(wheels, PYTHON[suite], core)
    names = sorted(path.name for path in dependencies.glob("*.whl"))
    (own,) = dependencies.glob("containai_cai-*.whl")
    key = hashlib.sha256(f"{image.ensure(suite)} {names} {sysbox_deb.sha256(own)}".encode()).hexdigest()[:12]
    folder = WORK / f"venv-{suite}-{key}"
    if (folder / ".ready").exists():
        return folder
    for old in WORK.glob(f"venv-{suite}-*"):
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    line = """set -e
    python3 -m venv --clear /home/dev/venv
    /home/dev/venv/bin/pip install -q --no-index --pre --find-links /wheels containai-cai
    chown -R --reference=/wheels /home/dev/venv
    chmod -R go+rX /home/dev/venv
    """
    engine.docker(
        "run", "--rm", "--network", "none", "-v", f"{folder}:/home/dev/venv", "-v", f"{dependencies}:/wheels:ro", image.ensure(suite), "sh", "-c", line
    )  # fmt: skip
    (folder / ".ready").touch()
    return folder


@cache
def wheels() -> Path:
    """The product's wheel, built now."""
    with _alone():
        return _wheels()


@cache
def environment(suite: str, core: str = "") -> Path:
    """The folder with cai installed for a suite; made once a session. `core`: see _foreign."""
    made = wheels()
    engine.up()
    with _alone():
        return _environment(suite, made, core)


@cache
def packages() -> dict[str, tuple[str, str]]:
    """Sysbox packages by name: (path in every host, sha256)."""
    folder = WORK / "debs"
    with _alone():
        made = {
            "0.7.1": sysbox_deb.build(folder),
            "0.7.0": sysbox_deb.build(folder, "0.7.0"),
            "not-isolating": sysbox_deb.build(folder / "not-isolating", isolating=False),
        }
        if os.environ.get("SYSBOX_DEB"):
            shutil.copy(os.environ["SYSBOX_DEB"], folder / "original.deb")
            made["0.7.1"] = folder / "original.deb"
    return {name: (f"{DEBS}/{path.relative_to(folder)}", sysbox_deb.sha256(path)) for name, path in made.items()}


def _converge(box: Box) -> None:
    box.setup()
    box.docker("load -q -i /opt/images/user-image.tar").expect(0)


def _older_sysbox(box: Box) -> None:
    path, sha256 = packages()["0.7.0"]
    older = quoted(sysbox_version="0.7.0", sysbox_deb=path, sysbox_sha256={"amd64": sha256}, sysbox_downgrade="true")
    box.setup(*older)


def _older_docker(box: Box) -> None:
    """Set up while the docker.io of the release itself was the one to install; by now the distribution has a newer one."""
    older = box.sh("apt-cache madison docker.io | awk '{print $3}' | sort -V | head -n 1")
    preferences = "/etc/apt/preferences.d/older"
    box.write(preferences, f"Package: docker.io\nPin: version {older}\nPin-Priority: 1001\n")
    _converge(box)
    box.sh(f"rm {preferences}")
    assert older.startswith(box.docker("version --format '{{.Server.Version}}'").expect(0).out.strip())


# What a host went through before a test gets it, and the state that this began in. Each has the test image in our engine.
STATES: dict[str, tuple[str, Callable[[Box], None]]] = {
    "converged": ("bare", _converge),
    "older-sysbox": ("converged", _older_sysbox),
    "older-docker": ("bare", _older_docker),
}


def _prepare(box: Box, trusted: bool) -> None:
    path, sha256 = packages()["0.7.1"]
    box.settings(sysbox_deb=path, sysbox_sha256={"amd64": sha256})
    if trusted:
        box.trust_dev()


def _in_state(wanted: host.Wanted, state: str) -> host.Wanted:
    """The same host, from an image that is in that state."""
    if state == "bare":
        return wanted
    before, change = STATES[state]

    def make(name: str) -> None:
        box = Box(name)
        if before == "bare":
            _prepare(box, trusted=True)
        change(box)

    shas = (f"{name} {sha256}" for name, (_, sha256) in sorted(packages().items()))
    base = _in_state(wanted, before)
    image_name = kept.ensure(base, state, (environment(wanted.suite).name, inspect.getsource(change), *shas), make)
    return dataclasses.replace(wanted, image=image_name)


def start(
    name: str,
    suite: str = "noble",
    kind: str = "none",
    dress: str = "wsl2",
    setup: str = "",
    *,
    state: str = "bare",
    trusted: bool = True,
    core: str = "",
) -> Box:
    """Start a host with cai, the packages and the test image in it; in a state of STATES it is made once and kept."""
    if os.environ.get("OTHER_PLATFORM"):
        dress = {"linux": "wsl2", "wsl2": "linux"}.get(dress, dress)
    # A suite whose Python is older than cai's is a target of playbooks alone.
    own = (f"{environment(suite, core)}:/home/dev/venv:ro",) if suite in PYTHON else ()
    binds = (*own, f"{WORK / 'debs'}:{DEBS}:ro")
    wanted = host.Wanted(f"sys-{name}", suite, kind, dress, setup, binds=binds)
    box = Box(wanted.name)
    if state == "bare":
        host.up(wanted)
        _prepare(box, trusted)
        return box

    host.up(_in_state(wanted, state))
    if not trusted:
        box.sh("rm /etc/sudoers.d/test")
    return box
