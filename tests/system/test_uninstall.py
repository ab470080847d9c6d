"""setup, uninstall, setup again: the host is as it was before, but for what somebody edited since."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import snapshot
from tests.system.box import Box
from tests.system.plans import as_planned

FILE = "/etc/docker/daemon.json"
MINE = '{\n   "debug":   false\n}\n'


@pytest.fixture
def box(hosts) -> Iterator[Box]:
    """A host of the test's own that nobody has set up."""
    made: Box = hosts("gone")
    yield made
    hosts.drop(made.name)


@pytest.fixture
def pristine(box):
    return box.snapshot()


@pytest.mark.slow
def test_where_nothing_is_there_is_nothing_to_remove_and_without_a_terminal_it_wants_yes(box, pristine):
    box.cai("uninstall").expect(2, "no terminal", "cai uninstall --yes")
    as_planned(box, "uninstall")
    assert snapshot.difference(pristine, box.snapshot()) == []


@pytest.mark.slow
def test_setup_and_uninstall_give_back_the_state_before(box: Box, pristine):
    as_planned(box, "setup")
    box.start_sysbox_container("agent")
    box.cai("uninstall", "--dry-run", "--purge").expect(0, "would remove", "Plan: ")
    assert box.docker("ps -q --filter name=agent").out.strip(), "a dry run stopped a container"
    as_planned(box, "uninstall", "--purge").expect(0, "Removed")
    difference = snapshot.difference(pristine, box.snapshot())
    print(f"{len(pristine)} paths before; differences:", *(difference or ["none"]), sep="\n  ")
    assert difference == []
    box.sh("apt-get -qq check")


@pytest.mark.slow
def test_on_a_terminal_with_a_question(box: Box, pristine):
    box.setup()
    box.start_sysbox_container("agent")
    child = box.person("uninstall", "--purge")
    child.expect(r"agent")
    child.expect(r"Remove all this\? \[y/N\]: ")
    child.sendline("n")
    child.read()
    child.close()
    assert child.exitstatus == 1
    assert box.docker("ps -q --filter name=agent").out.strip()
    child = box.person("uninstall", "--purge")
    child.expect(r"Remove all this\? \[y/N\]: ")
    child.sendline("y")
    text = child.read()
    child.close()
    print(text)
    assert child.exitstatus == 0, text
    assert snapshot.difference(pristine, box.snapshot()) == []


@pytest.mark.slow
def test_data_stays_without_purge_and_is_there_after_the_next_setup(box: Box, pristine):
    box.setup()
    box.start_sysbox_container("agent")
    as_planned(box, "uninstall").expect(0, "/var/lib/docker-containai stays", "--purge")
    box.setup()
    assert "agent" in box.docker("ps -a --format '{{.Names}}'").expect(0).out
    box.docker("start agent").expect(0)
    as_planned(box, "uninstall", "--purge")
    assert snapshot.difference(pristine, box.snapshot()) == []


@pytest.mark.slow
def test_a_daemon_json_that_was_there_comes_back_byte_for_byte(box):
    box.write(FILE, MINE, 0o640)
    before = box.snapshot()
    as_planned(box, "setup")
    as_planned(box, "uninstall", "--purge")
    assert box.read(FILE) == MINE.encode()
    assert snapshot.difference(before, box.snapshot()) == []


@pytest.mark.slow
def test_what_was_edited_since_stays_and_is_said(box, pristine):
    box.write(FILE, MINE, 0o640)
    box.setup()
    edited = box.read(FILE).decode().replace("false", "true")
    box.write(FILE, edited, 0o640)
    unit = "/etc/systemd/system/containai-docker.service"
    box.sh(f"echo '# mine' >> {unit}")
    as_planned(box, "uninstall", "--purge").expect(0, unit, "edited since")
    assert box.read(FILE).decode() == MINE.replace("false", "true")
    assert box.sh(f"tail -n 1 {unit}") == "# mine"
    box.sh(f"rm {unit} && systemctl daemon-reload && rm -r /etc/docker")
    box.setup()
    box.cai("uninstall", "--yes", "--purge").expect(0)
    assert snapshot.difference(pristine, box.snapshot()) == []
