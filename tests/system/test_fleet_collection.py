"""The collection that is made from this repository, installed from its file: its main playbook runs by its full name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import collection
from tests.system.fleet import Fleet, outcomes

REPORT = f"{collection.NAME}.containai_report"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.down()


@pytest.mark.slow
def test_the_main_playbook_runs_by_its_full_name(fleet: Fleet) -> None:
    source, away = fleet.folder / "source", fleet.folder / "away"
    away.mkdir()
    collection.make(source)
    built = fleet.run("ansible-galaxy", "collection", "build", source, "--output-path", fleet.folder)
    assert built.returncode == 0, built.stderr
    (file,) = fleet.folder.glob("containai-secure_engine-*.tar.gz")
    target = fleet.folder / "collections"
    done = fleet.run("ansible-galaxy", "collection", "install", file, "--offline", "-p", target, cwd=away)
    assert done.returncode == 0, done.stdout + done.stderr

    native = fleet.add("collection", "noble", dress="linux")
    where = {"cwd": away, "collections": str(target), "ANSIBLE_CALLBACKS_ENABLED": REPORT}
    for outcome in ("changed", "ready"):
        _, text, report = fleet.play(f"{collection.NAME}.site", **where)
        assert outcomes(report) == {"collection": outcome, "gone": "unreachable"}, text
    assert report["collection"]["versions"]["docker"]
    assert native.isolated()
    _, text, report = fleet.play(f"{collection.NAME}.doctor", "--limit", "collection", **where)
    assert outcomes(report) == {"collection": "ready"}, text
    _, text, report = fleet.play(f"{collection.NAME}.uninstall", "--limit", "collection", **where)
    assert outcomes(report) == {"collection": "changed"}, text
