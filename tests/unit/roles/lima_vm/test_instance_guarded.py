"""lima_vm_instance: what it refuses, asks for and hides, and how it is gentle to a guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils import containai_limactl
from ansible.module_utils.containai.errors import Failure

from .conftest import CONFIG, Standin

Call = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_refuses_the_settings_that_the_run_would(instance: Call, lima: Standin, there: bool) -> None:
    lima.set()
    if there:
        instance(state="present")
    before = lima.files()
    for check in (True, False):
        result = instance(check=check, config=CONFIG + "nonsense: 1\n")
        assert (result["failed"], result["failure"]) == (True, "precondition")
    assert lima.files() == before


def test_settings_that_are_kept_do_not_lose_whose_they_are(instance: Call, lima: Standin) -> None:
    instance(state="present")
    (lima.folder / "disk").touch()
    instance(state="present", config=CONFIG.replace("/image.qcow2", "/other.qcow2").replace("cpus: 2", "cpus: 4"))
    assert (lima.folder / "lima.yaml").read_text().startswith("# Made by the role lima_vm\n")


def test_a_proxys_password_is_in_no_diff(instance: Call, lima: Standin) -> None:
    secret = CONFIG + 'env: {"HTTPS_PROXY": "http://me:pa@ss/word@proxy:3128"}\n'
    made = instance(state="present", config=secret)
    assert "HTTPS_PROXY" in made["diff"][0]["after"]
    for result in (made, instance(check=True, config=CONFIG), instance(check=True, state="absent", config="")):
        del result["invocation"]  # Ansible shows it with -vvv only
        assert not [part for part in ("pa@ss", "ss/word", "word@") if part in str(result)]
    assert "pa@ss/word" in (lima.folder / "lima.yaml").read_text()


def test_running_containers_are_asked_for_before_the_vm_is_stopped(
    instance: Call, engine_says: Callable[[Any], None]
) -> None:
    instance()
    asked = [{"Names": ["/web"]}, {"Names": ["/db"]}]
    engine_says(asked)
    for state in ("stopped", "absent"):
        assert instance(check=True, state=state)["confirm"] == ["container web", "container db"]
        result = instance(state=state)
        assert "web, db" in result["msg"]
        assert "cai uninstall --yes" in result["hint"]
    engine_says(None)
    assert instance(check=True, state="absent")["confirm"] == ["the VM, whose containers cannot be listed"]
    engine_says(asked)
    notes = instance(state="absent", stop_containers=True, brew="/opt/homebrew/bin/brew")["notes"]
    assert "/opt/homebrew/bin/brew uninstall lima docker" in notes[0]
    assert instance(check=True, state="absent")["confirm"] == []


def test_a_vm_that_nobody_can_look_into_is_a_finding(instance: Call, lima: Standin) -> None:
    instance()
    assert [item["status"] for item in instance(report=True)["findings"]] == ["pass", "pass"]
    lima.set(guest="unreachable")
    result = instance(report=True)
    assert result["reachable"] is False
    assert result["findings"][0]["status"] == "fail"
    assert "cannot be reached" in result["findings"][0]["found"]
    assert "`limactl stop containai-secure; limactl start containai-secure`" in result["findings"][0]["hint"]


def test_apples_virtualization_is_given_time_to_shut_the_guest_down(
    lima: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host agent is its driver, so one process has both pid files."""
    made = containai_limactl.Lima(str(lima.program), str(lima.home), "containai-secure")
    states = iter([[7], [7], [7], [], []])
    calls: list[str] = []
    monkeypatch.setattr(made, "pids", lambda: next(states))
    monkeypatch.setattr(made.guest, "run", lambda command: calls.append(command) or 0)
    monkeypatch.setattr(made, "run", lambda *words, **_: calls.append(" ".join(words)))
    monkeypatch.setattr(containai_limactl.time, "sleep", lambda _: None)
    made.repair()
    assert calls == ["sudo -n systemctl --no-block poweroff"]


def test_no_room_for_a_file_is_said(instance: Call, lima: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device", "/tmp/cai-x")

    monkeypatch.setattr(containai_limactl.tempfile, "TemporaryDirectory", full)
    result = instance()
    assert "/tmp/cai-x cannot be written: No space left on device." in result["msg"]
    assert "df -h" in result["hint"]


def test_the_log_of_limactl_names_no_password(lima: Standin) -> None:
    lima.set(create="refused")
    made = containai_limactl.Lima(str(lima.program), str(lima.home), "containai-secure")
    with pytest.raises(Failure):
        made.create(CONFIG, 60)
    assert "proxy http://" in str(made.log)
    assert "geheim" not in str(made.log)
