"""The real `cai`, installed from its wheel as an ordinary user, on real hosts (tests/hosts).

    pytest tests/system -m "not slow"    the short set (about six minutes on two cores)
    FULL=1 pytest tests/system           everything (about half an hour)

Without FULL=1 the slow tests are skipped. The hosts are named sys-*, at most three live at a time, and all are removed at the end.
The Sysbox package is the double of tests/hosts unless SYSBOX_DEB names the original; tests that need several versions, or a package
that misbehaves, always use the double. A test file is read from top to bottom: its tests share one host, and the later ones build on the earlier.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts import engine, host, image, paths
from tests.hosts.doubles import sysbox_deb, user_image
from tests.system.box import Box

HERE = Path(__file__).parent
WORK = paths.CACHE / "system"
DEBS = "/opt/debs"
KEPT_SECONDS = 4 * 3600  # a session that began earlier may still use its own
PYTHON = {"bookworm": "3.11", "trixie": "3.13", "noble": "3.12"}


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "slow: takes minutes; runs with FULL=1 only")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured, whether they passed or not."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [value for report in reports for name, value in report.user_properties if name == "measured"]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have a line printed at the end of the session."""
    return lambda line: record_property("measured", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the slow tests, unless they are asked for."""
    if os.environ.get("FULL"):
        return
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow; FULL=1 runs it"))


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
    _pip("wheel", ".", "--no-deps", "-w", made)
    return made


def _foreign(wheels: Path, version: str) -> Path:
    """The dependencies for a Python that is not this one: fetched, not built."""
    target = WORK / f"wheels-{version}"
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
        )
        mark.write_text(wanted)
    for old in target.glob("containai_cai-*"):
        old.unlink()
    for wheel in wheels.glob("containai_cai-*"):
        shutil.copy(wheel, target)
    return target


def _environment(suite: str, wheels: Path) -> Path:
    """A virtual environment made by the suite's own Python, from the wheels and nothing else."""
    dependencies = _foreign(wheels, PYTHON[suite])
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
    /home/dev/venv/bin/pip install -q --no-index --find-links /wheels containai-cai
    chown -R --reference=/wheels /home/dev/venv
    chmod -R go+rX /home/dev/venv
    """
    engine.docker(
        "run", "--rm", "--network", "none", "-v", f"{folder}:/home/dev/venv", "-v", f"{dependencies}:/wheels:ro", image.ensure(suite), "sh", "-c", line
    )  # fmt: skip
    (folder / ".ready").touch()
    return folder


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The product's wheel, built now."""
    with _alone():
        return _wheels()


@pytest.fixture(scope="session")
def environment(wheels: Path) -> Callable[[str], Path]:
    """The folder with cai installed for a suite; made once a session."""
    made: dict[str, Path] = {}

    def ensure(suite: str) -> Path:
        if suite not in made:
            engine.up()
            with _alone():
                made[suite] = _environment(suite, wheels)
        return made[suite]

    return ensure


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def make(environment: Callable[[str], Path], packages: dict[str, tuple[str, str]]) -> Callable[..., Box]:
    """Start a host with cai, the packages and the test image in it."""

    def start(
        name: str, suite: str = "bookworm", kind: str = "none", dress: str = "wsl2", *, trusted: bool = True
    ) -> Box:
        image_file = user_image.build()
        binds = (
            f"{environment(suite)}:/home/dev/venv:ro",
            f"{WORK / 'debs'}:{DEBS}:ro",
            f"{image_file.parent}:/opt/images:ro",
        )
        host.up(host.Wanted(f"sys-{name}", suite, kind, dress, binds=binds))
        box = Box(f"sys-{name}")
        path, sha256 = packages["0.7.1"]
        box.settings(sysbox_deb=path, sysbox_sha256={"amd64": sha256})
        if trusted:
            box.trust_dev()
        return box

    return start


@pytest.fixture(scope="module")
def hosts(make: Callable[..., Box]) -> Iterator[Callable[..., Box]]:
    """Start hosts for one test file, and remove them after it."""
    started: list[str] = []

    def start(name: str, *words: str, **more: object) -> Box:
        started.append(f"sys-{name}")
        return make(name, *words, **more)

    yield start
    for name in started:
        host.down(name)
