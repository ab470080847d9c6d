"""`playbooks/site.yml` over several hosts at once, from a controller, as an ops team runs it; and its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.fleet import Fleet, outcomes


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.down()


@pytest.mark.slow
def test_one_command_gives_each_host_what_it_needs_and_reports_all(fleet: Fleet) -> None:
    native = fleet.add("native", "noble", dress="linux")
    refused = fleet.add("wsl1", "bookworm", dress="wsl1")
    gated = fleet.add("gated", "noble", kind="listener")
    before = {box: box.snapshot() for box in (native, refused, gated)}

    code, text, report = fleet.play("site.yml", "--check")
    assert outcomes(report) == {
        "native": "would_change", "wsl1": "unsupported", "gated": "gate", "gone": "unreachable",
    }, text  # fmt: skip
    for box, was in before.items():
        assert box.snapshot() == was, "check mode changed a host"

    code, text, report = fleet.play("site.yml")
    assert code != 0, "hosts failed"
    assert outcomes(report) == {"native": "changed", "wsl1": "unsupported", "gated": "gate", "gone": "unreachable"}
    assert report["native"]["versions"]["docker"]
    assert "1 changed, 1 unsupported, 1 gate, 1 unreachable" in text
    for box in (refused, gated):
        assert box.snapshot() == before[box], "a host that was refused was changed"
    assert native.isolated()

    _, text, report = fleet.play("site.yml", "--limit", "native")
    assert outcomes(report) == {"native": "ready"}, text
    _, text, report = fleet.play("doctor.yml", "--limit", "native")
    assert outcomes(report) == {"native": "ready"}, text
    assert {"engine", "isolation"} <= {one["part"] for one in report["native"]["findings"]}
    _, text, report = fleet.play("uninstall.yml", "--limit", "native")
    assert outcomes(report) == {"native": "changed"}, text
    assert not native.ok("test -e /var/lib/containai")


@pytest.mark.slow
def test_twelve_hosts_at_once(fleet: Fleet) -> None:
    good = {
        "bookworm-wsl": ("bookworm", "none", "wsl2"), "bookworm-plain": ("bookworm", "plain", "wsl2"),
        "bookworm-linux": ("bookworm", "none", "linux"), "trixie-wsl": ("trixie", "plain", "wsl2"),
        "trixie-linux": ("trixie", "none", "linux"), "noble-wsl": ("noble", "none", "wsl2"),
        "noble-plain": ("noble", "plain", "wsl2"), "noble-linux": ("noble", "none", "linux"),
    }  # fmt: skip
    for name, (suite, kind, dress) in good.items():
        fleet.add(name, suite, kind=kind, dress=dress)
    fleet.add("listener", "trixie", kind="listener")
    fleet.add("wsl1", "bookworm", dress="wsl1")
    broken = fleet.add("broken", "noble", dress="linux")
    broken.write("/etc/docker/daemon.json", '{"debug": true,\n')
    shim = fleet.add("podman", "trixie", dress="linux", setup="podman")
    held = {box: box.snapshot() for box in (broken, shim, fleet.boxes["listener"], fleet.boxes["wsl1"])}

    _, text, report = fleet.play("site.yml", "--forks", "4")
    assert outcomes(report) == {
        **dict.fromkeys(good, "changed"), "listener": "gate", "wsl1": "unsupported", "broken": "precondition",
        "podman": "precondition", "gone": "unreachable",
    }, text  # fmt: skip
    for name in good:
        assert fleet.boxes[name].isolated(), name
    for box, was in held.items():
        assert box.snapshot() == was, f"{box.name} was changed"
    _, text, report = fleet.play("site.yml", "--forks", "4", "-e", "cai_serial=3", "-e", "cai_max_fail_percentage=100")
    assert {name: report[name]["outcome"] for name in good} == dict.fromkeys(good, "ready"), text


@pytest.mark.slow
def test_a_rolling_upgrade_leaves_out_a_host_whose_containers_run(fleet: Fleet) -> None:
    """One host at a time; the report says who was skipped and why, and the others are upgraded."""
    for name in ("first", "busy", "last"):
        fleet.add(name, "noble", dress="linux", state="older-sysbox")
    busy = fleet.boxes["busy"]
    busy.start_sysbox_container("work")
    before = busy.docker("inspect -f '{{.State.StartedAt}}' work").out
    rolling = ("--limit", "first,busy,last", "-e", "cai_serial=1")

    _, text, report = fleet.play("site.yml", *rolling)
    assert outcomes(report) == {"first": "changed", "busy": "precondition", "last": "changed"}, text
    (failure,) = report["busy"]["failures"]
    assert "work" in failure["message"]
    assert "sysbox_restart_containers=true" in failure["hint"]
    assert {name: report[name]["versions"].get("sysbox") for name in ("first", "last")} == {
        "first": "0.7.1",
        "last": "0.7.1",
    }
    assert busy.docker("inspect -f '{{.State.StartedAt}}' work").out == before

    _, text, report = fleet.play("site.yml", *rolling, "-e", "sysbox_restart_containers=true")
    assert outcomes(report) == {"first": "ready", "busy": "changed", "last": "ready"}, text
    assert report["busy"]["versions"]["sysbox"] == "0.7.1"
    assert busy.docker("exec work cat /proc/self/uid_map").expect(0).out.split()[1] != "0"


@pytest.mark.slow
def test_a_rolling_upgrade_of_docker_leaves_out_a_host_whose_containers_run(fleet: Fleet) -> None:
    for name in ("idle", "busy"):
        fleet.add(name, "noble", dress="linux", setup="plain", state="older-docker")
    busy = fleet.boxes["busy"]
    busy.start_sysbox_container("work")
    new = busy.sh("apt-cache policy docker.io | awk '/Candidate:/ {print $2}'")
    before = busy.docker("inspect -f '{{.State.StartedAt}}' work").out
    rolling = ("--limit", "idle,busy", "-e", "cai_serial=1", "-e", "docker_engine_upgrade=true")

    _, text, report = fleet.play("site.yml", "--check", *rolling)
    assert outcomes(report) == {"idle": "would_change", "busy": "precondition"}, text
    assert any(f"docker.io {new} (upgrade of " in action for action in report["idle"]["actions"]), text
    _, text, report = fleet.play("site.yml", *rolling)
    print(text)
    assert outcomes(report) == {"idle": "changed", "busy": "precondition"}, text
    (failure,) = report["busy"]["failures"]
    assert "work" in failure["message"]
    assert "docker_engine_restart_containers=true" in failure["hint"]
    assert new.startswith(report["idle"]["versions"]["docker"])
    assert busy.docker("inspect -f '{{.State.StartedAt}}' work").out == before

    _, text, report = fleet.play("site.yml", *rolling, "-e", "docker_engine_restart_containers=true")
    print(text)
    assert outcomes(report) == {"idle": "ready", "busy": "changed"}, text
    assert {one["versions"]["docker"] for one in report.values()} == {new.partition("-")[0]}
    assert {one["versions"]["sysbox"] for one in report.values()} == {"0.7.1"}


@pytest.mark.slow
def test_a_target_whose_python_is_older_than_the_commands(fleet: Fleet) -> None:
    """Ubuntu 22.04: the oldest that is supported, set up from a controller."""
    box = fleet.add("jammy", "jammy", dress="linux")
    for playbook, outcome in (
        ("site.yml", "changed"),
        ("site.yml", "ready"),
        ("doctor.yml", "ready"),
        ("uninstall.yml", "changed"),
    ):
        _, text, report = fleet.play(playbook, "--limit", "jammy")
        assert outcomes(report) == {"jammy": outcome}, text
        if playbook == "doctor.yml":
            assert [one for one in report["jammy"]["findings"] if one["status"] == "fail"] == []
    assert not box.ok("systemctl cat containai-docker.service")
