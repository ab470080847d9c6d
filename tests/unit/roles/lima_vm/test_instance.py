"""lima_vm_instance: every state a VM can be in, and the least that brings it where it should be."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import CONFIG, Standin

Call = Callable[..., dict[str, Any]]


def verbs(result: dict[str, Any]) -> list[str]:
    return [action["verb"] for action in result["actions"]]


def test_absent_is_created_and_started_and_then_left_alone(instance: Call, lima: Standin) -> None:
    first = instance()
    assert (first["changed"], first["running"], verbs(first)) == (True, True, ["create", "start"])
    assert (lima.folder / "lima.yaml").read_text() == CONFIG
    assert first["diff"][0]["after"] == CONFIG
    assert first["socket"] == str(lima.folder / "sock/docker.sock")
    assert "limactl start containai-secure" in first["notes"][0]
    assert any(line.startswith("$ limactl create") for line in first["log"])
    pid, written = lima.pid("ha"), (lima.folder / "lima.yaml").stat().st_mtime_ns
    second = instance()
    assert (second["changed"], second["actions"], second["diff"]) == (False, [], [])
    assert (lima.pid("ha"), lima.starts(), (lima.folder / "lima.yaml").stat().st_mtime_ns) == (pid, 1, written)


def test_check_mode_without_limactl_tells_the_whole_plan_and_makes_nothing(instance: Call, lima: Standin) -> None:
    plan = [{"verb": "install", "what": "Sysbox in the VM"}]
    result = instance(check=True, limactl="", guest_plan=plan)
    assert verbs(result) == ["create", "start", "install"]
    assert (result["changed"], result["running"]) == (True, False)
    assert result["diff"][0] == {
        "before_header": str(lima.folder / "lima.yaml"),
        "after_header": str(lima.folder / "lima.yaml"),
        "before": "",
        "after": CONFIG,
    }
    assert not lima.home.exists()


# What a run does in each state.
DONE = {
    "nothing": ["create", "start"], "stopped": ["start"], "broken": ["change", "start"], "cpus": ["restart"], "dead": ["change"], "running": [],
}  # fmt: skip


@pytest.mark.parametrize("prepare", DONE)
def test_check_mode_changes_nothing_and_says_what_the_run_does(instance: Call, lima: Standin, prepare: str) -> None:
    config = CONFIG.replace("cpus: 2", "cpus: 4") if prepare == "cpus" else CONFIG
    if prepare != "nothing":
        instance()
    if prepare == "stopped":
        assert verbs(instance(state="stopped")) == ["stop"]
    if prepare == "broken":
        os.kill(lima.pid("ha"), signal.SIGKILL)
        lima.folder.joinpath("ha.pid").write_text("x")
    if prepare == "dead":
        (lima.folder / "sock/docker.sock").unlink()
    before = lima.files()
    plan = instance(check=True, config=config)
    assert lima.files() == before
    real = instance(config=config)
    assert verbs(real) == DONE[prepare]
    assert (plan["actions"], plan["changed"], plan["diff"]) == (real["actions"], real["changed"], real["diff"])
    assert instance(config=config)["changed"] is False


@pytest.mark.parametrize("running", [True, False])
def test_what_a_restart_applies_is_written_and_applied(instance: Call, lima: Standin, running: bool) -> None:
    instance()
    if not running:
        instance(state="stopped")
    wanted = CONFIG.replace("cpus: 2", "cpus: 4").replace("20GiB", "40GiB")
    result = instance(config=wanted)
    assert "cpus, disk changed" in result["actions"][0]["what"]
    assert verbs(result) == (["restart"] if running else ["change", "start"])
    assert (lima.folder / "lima.yaml").read_text() == wanted
    assert "+cpus" not in result["diff"][0]["before"]
    assert instance(config=wanted)["changed"] is False


def test_a_comment_or_another_order_is_no_drift(instance: Call, lima: Standin) -> None:
    instance()
    assert (
        instance(config="# new\ndisk: 20GiB\ncpus: 2\nimages: [{arch: x86_64, location: /image.qcow2}]\n")["changed"]
        is False
    )


def test_what_needs_a_new_disk_is_told_and_not_done(instance: Call, lima: Standin) -> None:
    """Which changes those are: test_drift.py."""
    instance()
    wanted = CONFIG.replace("/image.qcow2", "/other.qcow2")
    result = instance(config=wanted)
    assert result["changed"] is False
    assert "lima_vm_recreate=true" in "".join(result["warnings"])
    assert (lima.folder / "lima.yaml").read_text() == CONFIG
    again = instance(config=wanted, recreate=True)
    assert verbs(again)[:2] == ["remove", "create"]
    assert (lima.folder / "lima.yaml").read_text() == wanted
    assert instance(config=wanted)["changed"] is False


def test_both_kinds_of_drift_the_harmless_one_is_applied(instance: Call, lima: Standin) -> None:
    instance()
    wanted = CONFIG.replace("/image.qcow2", "/other.qcow2").replace("cpus: 2", "cpus: 4")
    assert verbs(instance(config=wanted)) == ["restart"]
    stored = (lima.folder / "lima.yaml").read_text()
    assert "cpus: 4" in stored
    assert "/image.qcow2" in stored
    assert instance(config=wanted)["changed"] is False


def test_invalid_settings_change_nothing(instance: Call, lima: Standin) -> None:
    instance()
    pid = lima.pid("ha")
    result = instance(config=CONFIG + "nonsense: 1\n")
    assert (result["failed"], result["failure"]) == (True, "precondition")
    assert "lima_vm_*" in result["hint"]
    assert (lima.folder / "lima.yaml").read_text() == CONFIG
    assert lima.pid("ha") == pid


def test_a_passing_broken_is_waited_out(instance: Call, lima: Standin) -> None:
    instance()
    lima.set(broken=2)
    assert instance(settle=10)["changed"] is False
    assert lima.starts() == 1


def test_a_killed_host_agent_is_repaired(instance: Call, lima: Standin) -> None:
    instance()
    driver = lima.pid("qemu")
    os.kill(lima.pid("ha"), signal.SIGKILL)
    result = instance()
    assert verbs(result) == ["change", "start"]
    assert "Broken" in result["actions"][0]["what"]
    assert gone(driver)
    assert instance()["changed"] is False


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_pid_file_of_somebody_else_costs_him_nothing(instance: Call, lima: Standin) -> None:
    instance()
    instance(state="stopped")
    (lima.folder / "ha.pid").write_text(str(os.getpid()))  # the number was given to another process meanwhile
    result = instance()
    assert verbs(result) == ["change", "start"]
    assert result["running"] is True


def test_unreadable_files_are_cleared(instance: Call, lima: Standin) -> None:
    instance()
    for debris in ("ha.pid", "qemu.pid"):
        instance(state="stopped")
        (lima.folder / debris).write_text("")
        (lima.folder / "ssh.sock").write_text("")
        assert verbs(instance()) == ["change", "start"]
    instance(state="stopped")
    (lima.folder / "lima.yaml").write_text("not: [yaml")
    assert instance()["running"] is True
    assert (lima.folder / "lima.yaml").read_text() == CONFIG


@pytest.mark.parametrize(
    ("settings", "done", "starts"),
    [
        ({"guest": "up"}, ["change"], 1),  # what runs in the VM goes on
        ({"guest": "up", "master": "gone"}, ["restart"], 2),
        ({"guest": "unreachable"}, ["restart"], 2),
        ({"guest": "down"}, [], 1),
    ],
)
def test_a_dead_socket_is_repaired_unless_docker_itself_is_down(
    instance: Call, lima: Standin, settings: dict[str, str], done: list[str], starts: int
) -> None:
    instance()
    (lima.folder / "sock/docker.sock").unlink()
    lima.set(**settings)
    assert verbs(instance()) == done
    assert lima.starts() == starts
    if done:
        assert instance()["changed"] is False


def test_the_required_socket_gets_one_restart_and_then_a_clear_failure(instance: Call, lima: Standin) -> None:
    instance()
    (lima.folder / "sock/docker.sock").unlink()
    lima.set(guest="down")
    assert verbs(instance(require_socket=True)) == ["restart"]
    assert instance(require_socket=True)["changed"] is False
    (lima.folder / "sock/docker.sock").unlink()
    lima.set(guest="down", socket="dead")
    result = instance(require_socket=True)
    assert "does not answer" in result["msg"]
    assert "journalctl -u docker" in result["hint"]


def test_a_failed_download_is_explained_and_the_next_run_goes_on(instance: Call, lima: Standin) -> None:
    """From the second one on the VM is there, as Stopped."""
    for fault, hint in (
        ("download", "lima_vm_image_base_url"),
        ("refused", "lima_vm_image_base_url"),
        ("digest", "limactl prune"),
        ("enospc", "make room"),
    ):
        lima.set(create=fault)
        result = instance()
        assert (result["failed"], result["failure"]) == (True, "failed")
        assert hint in result["hint"]
        assert "geheim" not in str(result)
    lima.set()
    assert verbs(instance()) == ["start"]


def test_a_mirror_can_be_named_after_a_failed_download(instance: Call, lima: Standin) -> None:
    lima.set(create="download")
    instance()
    lima.set()
    wanted = CONFIG.replace("/image.qcow2", "/mirror.qcow2")
    assert instance(config=wanted)["running"] is True  # there is no disk yet, so nothing is lost
    assert (lima.folder / "lima.yaml").read_text() == wanted


@pytest.mark.parametrize("fault", ["probe", "timeout"])
def test_a_failed_start_shows_the_logs_and_leaves_nothing_running(instance: Call, lima: Standin, fault: str) -> None:
    lima.set(start=fault)
    result = instance()
    assert result["failed"] is True
    assert "did not start (and is stopped now)" in result["msg"]
    assert "the guest's last words" in result["msg"]
    assert "hostagent started\nHTTPS_PROXY=http://***@proxy:3128" in result["msg"]
    assert "serial.log" in result["hint"]
    assert not (lima.folder / "ha.pid").exists()
    lima.set()
    assert verbs(instance()) == ["start"]


def test_delete_and_its_refusals(instance: Call, lima: Standin) -> None:
    assert instance(state="absent")["changed"] is False
    instance()
    (lima.folder / "protected").touch()
    assert "protected" in instance(state="absent")["msg"]
    (lima.folder / "protected").unlink()
    assert verbs(instance(state="absent")) == ["remove"]
    assert not lima.folder.exists()
    assert instance(state="stopped")["changed"] is False


def test_present_does_not_start_but_brings_back_what_ran(instance: Call, lima: Standin) -> None:
    assert verbs(instance(state="present")) == ["create"]
    assert lima.starts() == 0
    instance()
    assert instance(state="present", config=CONFIG.replace("cpus: 2", "cpus: 4"))["changed"] is True
    assert lima.starts() == 2


def test_a_limactl_that_is_not_there(instance: Call) -> None:
    result = instance(limactl="/nowhere/limactl")
    assert "cannot be run" in result["msg"]
    assert "brew reinstall lima" in result["hint"]
