"""The real `cai`, installed from its wheel as an ordinary user, on real hosts (tests/hosts).

Every test runs alone, in any order, and beside another: the order is shuffled behind the longest files (SEED=n repeats one), and two files run at a time.
A test that leaves the host as it found it uses `hosts.shared(...)`: the tests of one file with the same wishes get the same host, and a new one after a
test that failed. A test that leaves traces starts a host of its own: `hosts(NAME, ..., state="converged")`.
Tests marked `slow` run with FULL=1 only. The hosts are named sys-*, and all are removed at the end. The Sysbox package is the double of tests/hosts unless
SYSBOX_DEB names the original; tests that need several versions, or a package that misbehaves, always use the double.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import host
from tests.system import stage
from tests.system.box import Box

HERE = Path(__file__).parent
FAILED = pytest.StashKey[bool]()
# They begin, so that none of them is left to one worker at the end. The first two need different hosts, so that neither waits while the other makes one.
LONGEST = (
    "there_and_back", "containers_survive", "main_job", "lives_of_others", "security", "network_names", "network_egress", "network_firewalld",
)  # fmt: skip


def pytest_configure() -> None:
    """Choose the order."""
    os.environ.setdefault("SEED", str(random.randrange(10000)))  # before the workers start, which have to agree


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print a failure when it happens: a run that is cut off has no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\n\n_____ {report.nodeid} failed in its {report.when} _____\n{report.longreprtext[-6000:]}", flush=True)


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


def pytest_report_header() -> str:
    """How to have the same order again."""
    return f"shuffled with SEED={os.environ['SEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the tests of a file, and the files behind the longest; skip the slow ones unless they are asked for."""
    chance = random.Random(os.environ["SEED"])
    of_file: dict[Path, float] = {HERE / f"test_{name}.py": place - len(LONGEST) for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (of_file.setdefault(item.path, chance.random()), chance.random()))
    for item in items:
        slow = item.path.is_relative_to(HERE) and item.get_closest_marker("slow")
        if slow and not os.environ.get("FULL"):
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


class Hosts:
    """Starts hosts for one test file."""

    def __init__(self, make: Callable[..., Box]) -> None:
        self.make, self.started, self.kept = make, set[str](), dict[tuple[Any, ...], Box]()

    def __call__(self, name: str, *words: str, **more: Any) -> Box:
        """Start a host; it lives until the file's last test, unless `drop` comes first."""
        self.started.add(f"sys-{name}")
        return self.make(name, *words, **more)

    def shared(self, name: str, *words: str, **more: Any) -> Box:
        """The host of that name, for a test that leaves it as it is; started when there is none."""
        key = (name, *words, *more.items())
        if key not in self.kept:
            self.kept[key] = self(name, *words, **more)
        return self.kept[key]

    def drop(self, *names: str) -> None:
        """Remove the hosts (all of them), so that the next test starts new ones."""
        for name in names or (*self.started,):
            host.down(name)
            self.started.discard(name)
        self.kept = {key: box for key, box in self.kept.items() if box.name in self.started}


@pytest.fixture(scope="module")
def hosts(make: Callable[..., Box]) -> Iterator[Hosts]:
    """Start hosts for one test file, and remove them after it."""
    started = Hosts(make)
    yield started
    started.drop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a test that failed, nobody knows what its shared hosts are like."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    hosts = getattr(item, "funcargs", {}).get("hosts")
    if report.when == "teardown" and item.stash[FAILED] and isinstance(hosts, Hosts):
        for box in [*hosts.kept.values()]:
            hosts.drop(box.name)
    return report
