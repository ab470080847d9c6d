"""The report of a fleet run: outcomes, the table and the files."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
_SPEC = importlib.util.spec_from_file_location(
    "containai_report", REPOSITORY / "playbooks/callback_plugins/containai_report.py"
)
report = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = report
_SPEC.loader.exec_module(report)
SCHEMA = json.loads((REPOSITORY / "docs/fleet-report.schema.json").read_text())
PREFLIGHT = {"host": {"platform": "linux", "distribution": "ubuntu", "version": "24.04"}}


class Run:
    """A run as Ansible tells it to the callback."""

    def __init__(self, folder: Path, playbook: str = "site.yml", check: bool = False) -> None:
        self.lines: list[str] = []
        self.callback = report.CallbackModule()
        self.callback._display = SimpleNamespace(
            display=self.lines.append, banner=self.lines.append, error=self.lines.append
        )
        self.callback.check = check
        self.folder = folder
        self.callback.v2_playbook_on_start(SimpleNamespace(_file_name=f"/x/{playbook}"))
        self.play("Check the hosts")

    def play(self, name: str) -> None:
        manager = SimpleNamespace(extra_vars={"cai_report_dir": str(self.folder)} if self.folder else {})
        self.callback.v2_playbook_on_play_start(
            SimpleNamespace(get_variable_manager=lambda: manager, get_name=lambda: name)
        )

    def task(self, event: str, name: str, action: str = "raw", /, **result: Any) -> None:
        task = SimpleNamespace(action=action, get_name=lambda: f"role : {action}")
        done = SimpleNamespace(host=SimpleNamespace(name=name), task=task, result=result)
        self.callback.v2_runner_on_start(done.host, task)
        getattr(self.callback, f"v2_runner_on_{event}")(done)

    def end(self) -> dict[str, Any]:
        self.callback.v2_playbook_on_stats(None)
        document = json.loads((self.folder / "report.json").read_text())
        jsonschema.validate(document, SCHEMA)
        return {host["host"]: host for host in document["hosts"]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "made")


def test_each_outcome(run: Run, tmp_path: Path) -> None:
    run.task("unreachable", "gone", msg="no route")
    run.task("failed", "mac", failure="unsupported", msg="not Linux", hint="on the Mac")
    for host in ("good", "new", "gated", "late", "broken"):
        run.task("ok", host, "docker_engine_info", **PREFLIGHT)
    run.play("Secure engine on Linux")
    run.task("failed", "gated", failure="gate", msg="╔══╗\n║ box ║\nFound: mirrored", hint="set nat")
    run.task("failed", "broken", failure="failed", msg="first", hint="type this")
    run.task("failed", "broken", failure="failed", msg="second")
    run.task("ok", "good", "docker_engine_files", version="29.1.3", actions=[])
    run.task("ok", "good", "docker_engine_service", version="", actions=[])
    run.task(
        "ok", "new", "sysbox_package", version="0.7.1", changed=True, actions=[{"verb": "install", "what": "Sysbox"}]
    )
    hosts = run.end()
    assert {name: host["outcome"] for name, host in hosts.items()} == {
        "good": "ready", "new": "changed", "late": "not_run", "mac": "unsupported", "gated": "gate",
        "broken": "failed", "gone": "unreachable",
    }  # fmt: skip
    assert hosts["good"]["versions"] == {"docker": "29.1.3"}
    assert [failure["message"] for failure in hosts["broken"]["failures"]] == ["first", "second"]
    text = "\n".join(run.lines)
    assert "Found: mirrored" in text
    assert "then role : raw: second" in text
    assert run.lines[-2] == "1 ready, 1 changed, 1 not_run, 1 unsupported, 1 gate, 1 failed, 1 unreachable"
    with (run.folder / "report.csv").open(newline="") as file:
        rows = {row["host"]: row for row in csv.DictReader(file)}
    assert rows["broken"]["message"] == "first"
    assert rows["mac"]["hint"] == "on the Mac"


def test_check_mode_says_would(tmp_path: Path) -> None:
    run = Run(tmp_path, check=True)
    run.play("Secure engine on Linux")
    run.task("ok", "new", actions=[{"verb": "install", "what": "Sysbox"}], changed=True)
    assert run.end()["new"]["outcome"] == "would_change"


def test_an_unhealthy_host_of_doctor_is_failed(tmp_path: Path) -> None:
    run = Run(tmp_path, "doctor.yml")
    run.play("Health")
    run.task("ok", "sick", findings=[{"part": "engine", "status": "fail", "found": "down", "hint": "run `cai setup`"}])
    run.task("ok", "well", findings=[{"part": "engine", "status": "pass", "found": "up", "hint": ""}])
    assert {name: host["outcome"] for name, host in run.end().items()} == {"sick": "failed", "well": "ready"}


def test_the_playbook_of_one_platform_is_silent_unless_a_folder_is_named(tmp_path: Path) -> None:
    quiet = Run(Path(), "linux.yml")
    quiet.folder = None
    quiet.play("Secure engine on Linux")
    quiet.task("ok", "one", **PREFLIGHT)
    quiet.callback.v2_playbook_on_stats(None)
    assert quiet.lines == []
    named = Run(tmp_path, "linux.yml")
    named.play("Secure engine on Linux")
    named.task("ok", "one", **PREFLIGHT)
    assert named.end()["one"]["outcome"] == "ready"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Run(tmp_path / "file" / "below")
    run.task("ok", "one", **PREFLIGHT)
    run.callback.v2_playbook_on_stats(None)
    assert any(str(run.folder) in line and "cai_report_dir" in line for line in run.lines)
