"""Report of a fleet run: what became of each host, as a table and, on request, as JSON and CSV."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: containai_report
type: aggregate
short_description: Report what became of each host of a fleet run
description:
  - Ansible loads it for the playbooks beside it; it reports for C(site.yml), C(doctor.yml) and C(uninstall.yml).
  - Prints a table at the end of the run. With the extra variable C(cai_report_dir) it also writes C(report.json) and
    C(report.csv) into that folder of the controller, and does so for the platforms' own playbooks too.
    docs/fleet-report.schema.json describes the JSON.
  - A host whose turn never came because an earlier batch failed (C(serial), C(max_fail_percentage)) is C(not_run).
"""

SCHEMA = 1
PLAYBOOKS = {"site.yml": "setup", "doctor.yml": "doctor", "uninstall.yml": "uninstall"}
# From good to bad: the table's order.
OUTCOMES = (
    "ready",
    "changed",
    "would_change",
    "not_run",
    "unsupported",
    "precondition",
    "gate",
    "failed",
    "unreachable",
)
# What a module's `failure` says, and the outcome it makes.
FAILURES = {"unsupported": "unsupported", "precondition": "precondition", "gate": "gate"}
# Whose `version` is of what. An engine that needs nothing is seen by the module of its files alone.
VERSIONS = {
    "docker_engine_files": "docker",
    "docker_engine_service": "docker",
    "sysbox_info": "sysbox",
    "sysbox_package": "sysbox",
}
COLUMNS = ("host", "outcome", "platform", "distribution", "docker", "sysbox", "stage", "message", "hint")


@dataclass
class Failure:
    """Why a host stopped, or what failed after that."""

    kind: str
    stage: str
    message: str
    hint: str


@dataclass
class Host:
    """What became of one host."""

    host: str
    outcome: str = "not_run"
    platform: str = ""
    distribution: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    findings: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finished: bool = field(default=False, repr=False)

    def settle(self, check: bool) -> None:
        """Decide the outcome. The first failure is the reason; later ones are listed below it."""
        if self.failures:
            self.outcome = self.failures[0].kind
        elif any(finding.get("status") == "fail" for finding in self.findings):
            self.outcome = "failed"
        elif self.actions:
            self.outcome = "would_change" if check else "changed"
        elif self.finished:
            self.outcome = "ready"

    def row(self) -> dict[str, str]:
        """The host as a line of the table and of the CSV file."""
        first = self.failures[0] if self.failures else Failure("", "", "", "")
        unhealthy = next((one for one in self.findings if one.get("status") == "fail"), {})
        return {
            "host": self.host, "outcome": self.outcome, "platform": self.platform, "distribution": self.distribution,
            "docker": self.versions.get("docker", ""), "sysbox": self.versions.get("sysbox", ""),
            "stage": first.stage or unhealthy.get("part", ""),
            "message": (first.message or unhealthy.get("found", "")).strip(),
            "hint": (first.hint or unhealthy.get("hint", "")).strip(),
        }  # fmt: skip


class CallbackModule(CallbackBase):
    """Collects each task's result and reports at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "containai_report"

    def __init__(self) -> None:
        super().__init__()
        self.command, self.folder, self.playbook = "", "", ""
        self.hosts: dict[str, Host] = {}
        self.started = datetime.now(UTC)
        self.check = bool(context.CLIARGS.get("check"))
        self.checking = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = Path(playbook._file_name).name
        self.command = PLAYBOOKS.get(self.playbook, "")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        manager = play.get_variable_manager()
        self.folder = str(manager.extra_vars.get("cai_report_dir") or "")
        # To pass the checks makes no host ready.
        self.checking = play.get_name() == "Check the hosts"

    def v2_runner_on_start(self, host: Any, task: Any) -> None:  # noqa: ARG002 - Ansible's signature
        self._host(host)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._add(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._host(result.host).finished = not self.checking

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if ignore_errors:
            return
        found, task = result.result, result.task
        kind = FAILURES.get(found.get("failure"), "failed")
        message = str(found.get("msg") or "The task failed without a message.")
        hint = str(found.get("hint") or "")
        self._host(result.host).failures.append(Failure(kind, task.get_name(), message, hint))
        self._add(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        message = str(result.result.get("msg") or "The host cannot be reached.")
        failure = Failure("unreachable", result.task.get_name(), message, f"run `ansible -m ping {result.host.name}`")
        self._host(result.host).failures.append(failure)

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002 - Ansible's signature
        if not self.hosts or not (self.command or self.folder):
            return
        for host in self.hosts.values():
            host.settle(self.check)
        hosts = sorted(self.hosts.values(), key=lambda one: (OUTCOMES.index(one.outcome), one.host))
        self._print(hosts)
        if self.folder:
            self._write(hosts)

    def _host(self, host: Any) -> Host:
        return self.hosts.setdefault(host.name, Host(host.name))

    def _add(self, result: Any) -> None:
        """Keep what a module of the roles returned."""
        found, host = result.result, self._host(result.host)
        host.finished = not self.checking
        about = found.get("host")
        if isinstance(about, dict):
            host.platform = str(about.get("platform", ""))
            host.distribution = f"{about.get('distribution', '')} {about.get('version', '')}".strip()
        module = result.task.action.rpartition(".")[2]  # from the collection it has its full name
        name = VERSIONS.get(module)
        if name and found.get("version"):
            host.versions[name] = str(found["version"])
        if not self.checking:
            host.actions += [f"{one.get('verb', 'change')} {one.get('what', '')}" for one in found.get("actions") or []]
            if found.get("changed") and not found.get("actions"):
                host.actions.append(result.task.get_name())
        host.findings += [dict(one) for one in found.get("findings") or []]
        host.notes += [str(one) for one in found.get("notes") or []]

    def _print(self, hosts: list[Host]) -> None:
        rows = [one.row() for one in hosts]
        shown = [name for name in COLUMNS[:6] if any(row[name] for row in rows)]
        widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
        self._display.banner("SECURE ENGINE REPORT")
        self._display.display("  ".join(name.upper().ljust(widths[name]) for name in shown).rstrip())
        for one, row in zip(hosts, rows, strict=True):
            self._display.display("  ".join(row[name].ljust(widths[name]) for name in shown).rstrip())
            if row["message"]:
                lines = row["message"].splitlines()
                # The gate's box is for a terminal of its own; its explanation comes after it.
                told = next((line for line in lines if line.strip() and line.strip()[0] not in "╔║╠╚"), lines[0])
                self._display.display(f"    {row['stage']}: {told}")
            if row["hint"]:
                self._display.display(f"    hint: {row['hint']}")
            for later in one.failures[1:]:
                self._display.display(f"    then {later.stage}: {later.message.splitlines()[0]}")
        counts = Counter(one.outcome for one in hosts)
        self._display.display(", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name]))

    def _write(self, hosts: list[Host]) -> None:
        document = {
            "schema": SCHEMA, "playbook": self.playbook, "check": self.check,
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "summary": dict(Counter(one.outcome for one in hosts)),
            "hosts": [{key: value for key, value in asdict(one).items() if key != "finished"} for one in hosts],
        }  # fmt: skip
        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            self._replace("report.json", lambda file: file.write(json.dumps(document, indent=2) + "\n"))
            self._replace("report.csv", lambda file: _write_csv(file, hosts))
        except OSError as error:
            self._display.error(
                f"The report cannot be written to {self.folder}: {error.strerror}. Hint: name another cai_report_dir."
            )
        else:
            self._display.display(f"written: {self.folder}/report.json, {self.folder}/report.csv")

    def _replace(self, name: str, write: Any) -> None:
        """Write a file of the report in one step: a reader sees the old one or the new one."""
        handle, scratch = tempfile.mkstemp(dir=self.folder, prefix=f".{name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                write(file)
            Path(scratch).replace(Path(self.folder, name))
        except BaseException:
            Path(scratch).unlink()
            raise


def _write_csv(file: Any, hosts: list[Host]) -> None:
    writer = csv.DictWriter(file, fieldnames=COLUMNS)
    writer.writeheader()
    writer.writerows(one.row() for one in hosts)
