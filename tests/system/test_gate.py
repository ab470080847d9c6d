"""The seccomp gate, met by the command in a login below a PID 1 that holds a listener, as in WSL2's mirrored mode."""

from __future__ import annotations

import pytest

from tests.hosts import paths
from tests.system import snapshot
from tests.system.box import Box, width


@pytest.fixture
def box(hosts) -> Box:
    return hosts.shared("gate", kind="listener")


def test_the_gate_stops_setup_with_the_box_and_the_remedy_before_any_change(box: Box):
    before = box.snapshot(times=True)
    done = box.cai("setup")
    print(done.text)
    done.expect(1, "Found: ", "EBUSY", "networkingMode=nat", "wsl --shutdown")
    lines = [line for line in done.text.splitlines() if line.startswith(("╔", "║", "╠", "╚"))]
    drawn = [
        line.rstrip() for line in (paths.ROOT / "roles/sysbox/files/seccomp-conflict.txt").read_text().splitlines()
    ]
    assert lines == drawn
    assert {width(line) for line in lines} == {68}
    assert all(line[-1] in "╗║╣╝" for line in lines)
    difference = snapshot.difference(before, box.snapshot(times=True))
    print(f"file system: {len(before)} paths, {len(difference)} differences")
    assert difference == []


def test_a_dry_run_gives_the_same_verdict(box: Box):
    before = box.snapshot(times=True, ignore=())
    done = box.cai("setup", "--dry-run")
    print(done.text)
    done.expect(1, "║", "networkingMode=nat", "would stop at the gate")
    assert snapshot.difference(before, box.snapshot(times=True, ignore=())) == []
    document = box.cai("setup", "--dry-run", "--json")
    document.expect(1)
    assert [gate["verdict"] for gate in document.document["gate"]] == ["conflict"]


@pytest.mark.slow
def test_doctor_names_the_conflict_and_the_remedy(box: Box):
    found = box.health()["seccomp"]
    print(found)
    assert found["status"] == "fail"
    assert "networkingMode=nat" in found["hint"]


@pytest.mark.slow
def test_force_goes_on_with_the_warning_and_without_it_setup_still_stops(hosts):
    box: Box = hosts("forced", kind="listener")
    done = box.cai("setup", "--force")
    print(done.text)
    done.expect(0, "║", "networkingMode=nat", "Sysbox does not")
    assert "engine is ready" not in done.text
    assert "--runtime=sysbox-runc" not in done.text  # it cannot work
    assert box.ok("systemctl is-active -q containai-docker sysbox-mgr sysbox-fs")
    second = box.cai("setup", "--force", "--json").expect(0)
    assert second.document["changed"] == 0
    assert any("networkingMode=nat" in text for text in second.document["warnings"])
    box.cai("setup").expect(1, "networkingMode=nat")
    hosts.drop(box.name)


@pytest.mark.slow
def test_a_plain_filter_of_pid_1_is_no_conflict(hosts):
    plain: Box = hosts("plain", kind="plain", state="converged")
    assert "Seccomp:\t2" in plain.sh("cat /proc/1/status")
    plain.cai("setup", "--dry-run").expect(0, "Gate: passes")
    done = plain.cai("setup").expect(0, "ready")
    assert "║" not in done.text
    assert plain.isolated()
    hosts.drop(plain.name)
