"""A docker context of another name from end to end, one that somebody had before, and a plan made without any apt lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.system import snapshot
from tests.system.box import CONFIG, IMAGE, Box

HERS = "tcp://192.0.2.7:2376"


@pytest.fixture
def box(hosts) -> Iterator[Box]:
    """A Debian 13 of the test's own, whose docker context is to be called `work`."""
    made: Box = hosts("context", "trixie", dress="linux")
    made.settings(**{**yaml.safe_load(made.read(CONFIG)), "docker_context_name": "work"})
    yield made
    hosts.drop(made.name)


def steps(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(action["verb"], action["what"]) for action in document["actions"]]


@pytest.mark.slow
def test_a_context_of_another_name_from_a_plan_without_apt_lists_to_its_end(box: Box) -> None:
    box.sh("rm -rf /var/lib/apt/lists/*")
    before = box.snapshot()
    plan = steps(box.cai("setup", "--dry-run", "--json").expect(0).document)
    assert ("install", "docker-cli") in plan
    assert ("create", "docker context work") in plan
    assert steps(box.cai("setup", "--json").expect(0).document) == plan

    box.shell("docker --context work load -q -i /opt/images/user-image.tar").expect(0)
    line = f"docker --context work run --rm --network none --runtime sysbox-runc {IMAGE} cat /proc/self/uid_map"
    assert box.shell(line).expect(0).out.split()[-1] != "4294967295"
    assert "containai-secure" not in box.shell("docker context ls --format '{{.Name}}'").expect(0).out
    assert box.health()["docker context"]["found"].startswith("work points to unix://")
    box.setup().expect(0, "nothing had to be changed", "cai run -it ubuntu:24.04")
    box.shell(f"cai run --rm --network none {IMAGE} true").expect(0)  # by the context of that name

    # An uninstall goes by the record, not by the setting.
    settings = yaml.safe_load(box.read(CONFIG))
    box.settings(**{key: value for key, value in settings.items() if key != "docker_context_name"})
    assert ("remove", "docker context work") in steps(
        box.cai("uninstall", "--dry-run", "--purge", "--json").expect(0).document
    )
    box.cai("uninstall", "--yes", "--purge").expect(0, "docker context work")
    box.settings(**settings)
    assert snapshot.difference(before, box.snapshot()) == []


@pytest.fixture
def hers(box: Box) -> dict[str, str]:
    """Have a docker CLI and contexts of her own, one by the name that setup will use."""
    box.sh(
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-cli"
    )
    for name in ("work", "containai-secure"):
        box.shell(f"docker context create {name} --description hers --docker host={HERS}").expect(0)
    return box.snapshot()


@pytest.mark.slow
def test_a_context_that_was_there_before_comes_back(box: Box, hers) -> None:
    assert ("change", "docker context work") in steps(box.cai("setup", "--json").expect(0).document)
    assert box.shell("docker --context work info --format '{{.ServerVersion}}'").expect(0).out.strip()
    shown = box.shell("docker context inspect containai-secure").expect(0).out
    assert HERS in shown
    box.cai("uninstall", "--yes", "--purge").expect(0, "docker context work")
    assert snapshot.difference(hers, box.snapshot()) == []


@pytest.mark.slow
def test_one_that_was_edited_since_stays_and_is_said(box: Box, hers) -> None:
    box.setup()
    box.shell(f"docker context update work --docker host={HERS}").expect(0)
    box.cai("uninstall", "--yes", "--purge").expect(0, "docker context work was edited since setup")
    assert HERS in box.shell("docker context inspect work").expect(0).out
