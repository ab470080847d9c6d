"""The real `cai`, installed from its wheel as an ordinary user, on real hosts (tests/hosts).

    pytest tests/system -m "not slow"    the short set (about six minutes on two cores)
    FULL=1 pytest tests/system           everything (about half an hour)

Without FULL=1 the slow tests are skipped. The hosts are named sys-*, at most three live at a time, and all are removed at the end.
The Sysbox package is the double of tests/hosts unless SYSBOX_DEB names the original; tests that need several versions, or a package
that misbehaves, always use the double. A test file is read from top to bottom: its tests share one host, and the later ones build on the earlier.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts import host
from tests.system import stage
from tests.system.box import Box

HERE = Path(__file__).parent


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


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The product's wheel, built now."""
    return stage.wheels()


@pytest.fixture(scope="session")
def environment() -> Callable[[str], Path]:
    """The folder with cai installed for a suite."""
    return stage.environment


@pytest.fixture(scope="session")
def packages() -> dict[str, tuple[str, str]]:
    """Sysbox packages by name: (path in every host, sha256)."""
    return stage.packages()


@pytest.fixture(scope="session")
def make() -> Callable[..., Box]:
    """Start a host with cai, the packages and the test image in it."""
    return stage.start


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
