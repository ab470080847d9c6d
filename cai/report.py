"""What a run amounts to: collected items, the exit code, and the document that --json prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cai import events
from cai.errors import CaiError, Exit
from cai.guest import in_vm, typed_here

SCHEMA_VERSION = 1
KILLED = -1  # instead of an exit code, which a killed process has none of


@dataclass
class Report:
    """Everything a command learned; output.py renders it, `document` publishes it."""

    command: str
    platform: str
    dry_run: bool = False
    log: str = ""
    seconds: float = 0.0
    interrupted: bool = False
    context: str = "containai-secure"
    finished: bool = False
    steps: list[events.Step] = field(default_factory=list)
    actions: list[events.Action] = field(default_factory=list)
    diffs: list[events.Diff] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confirm: list[str] = field(default_factory=list)
    findings: list[events.Finding] = field(default_factory=list)
    gates: list[events.Gate] = field(default_factory=list)
    failures: list[events.Failure] = field(default_factory=list)
    return_code: int = 0
    last_error: str = ""

    def add(self, item: events.Item) -> None:
        """Take in one item."""
        lists: dict[type, list[Any]] = {
            events.Step: self.steps,
            events.Action: self.actions,
            events.Diff: self.diffs,
            events.Finding: self.findings,
            events.Gate: self.gates,
            events.Failure: self.failures,
        }
        match item:
            case events.Play() | events.Step(status="running"):
                pass
            case events.Notice(kind, text):
                _once(self.warnings if kind == "warning" else self.notes, text)
            case events.Confirm(text):
                _once(self.confirm, text)
            case events.Output(text):
                self.last_error = text if text.startswith(("[ERROR]", "ERROR!")) else self.last_error
            case events.Stats():
                self._close(item)
            case events.Finding() | events.Failure():
                lists[type(item)].append(replace(item, hint=typed_here(item.hint, item.host)))
            case _:
                lists[type(item)].append(item)

    def _close(self, stats: events.Stats) -> None:
        """Keep the failures of the hosts that stayed failed, without those that a rescue section dealt with."""
        bad, rescued, kept = {*stats.failed, *stats.unreachable}, list(stats.rescued), []
        for failure in self.failures:
            if failure.host in rescued:  # the earliest ones: a host fails for good at most once before its `always`
                rescued.remove(failure.host)
            elif failure.host in bad and failure not in kept:
                kept.append(failure)
        self.failures = kept
        self.finished = True

    @property
    def causes(self) -> list[events.Failure]:
        """The first failure of each host; the later ones, in an `always` section, may be its consequences."""
        first: dict[str, events.Failure] = {}
        for failure in self.failures:
            first.setdefault(failure.host, failure)
        return list(first.values())

    @property
    def changed(self) -> int:
        """How many steps changed something."""
        return sum(step.status == "changed" for step in self.steps)

    @property
    def counts(self) -> dict[str, int]:
        """How often each verb occurs, commonest first."""
        return dict(Counter(action.verb for action in self.actions).most_common())

    @property
    def exit_code(self) -> Exit:
        """The command's exit code."""
        if self.interrupted:
            return Exit.INTERRUPTED
        kinds = {failure.kind for failure in self.failures}
        if any(cause.kind == "unreachable" for cause in self.causes):
            return Exit.UNREACHABLE
        if kinds and kinds <= {"unsupported", "precondition"} and (self.dry_run or not self.changed):
            return Exit.PRECONDITION
        if kinds:
            return Exit.FAILED
        if self.return_code == KILLED:
            return Exit.FAILED
        if self.return_code or not self.finished:
            return Exit.INTERNAL
        if self.command == "doctor" and (not self.findings or self.sick):
            return Exit.FAILED
        return Exit.OK

    @property
    def sick(self) -> int:
        """How many findings must be mended."""
        return sum(finding.status == "fail" for finding in self.findings)

    @property
    def isolated(self) -> bool:
        """Whether no Sysbox container was seen to fail; under --force a setup goes on all the same."""
        return not any(finding.part == "isolation" and finding.status == "fail" for finding in self.findings)

    @property
    def errors(self) -> list[CaiError]:
        """The failures as users see them."""
        code = self.exit_code
        if code == Exit.INTERRUPTED:
            hint = f"run `cai {self.command}` again; it goes on from here"
            return [CaiError("Interrupted.", hint=hint, log=self.log, code=code)]
        if self.return_code == KILLED and not self.failures:
            hint = f"run `cai {self.command}` again; it goes on from here"
            return [
                CaiError(
                    "Ansible was killed: by somebody, or because memory ran out.", hint=hint, log=self.log, code=code
                )
            ]
        if code == Exit.INTERNAL:
            stop = f"Ansible stopped before the end (code {self.return_code})."
            return [internal(stop, self.log, self.last_error)]
        causes = self.causes
        later = [failure for failure in self.failures if failure not in causes]
        return [self._error(failure, code, later=failure in later) for failure in (*causes, *later)]

    def _error(self, failure: events.Failure, code: Exit, *, later: bool) -> CaiError:
        host = f"{failure.host}: " if len(self.causes) > 1 or in_vm(failure.host) else ""
        gate = failure.kind == "gate"
        return CaiError(
            failure.text if gate else host + failure.message,
            details="" if gate else failure.details,
            hint=failure.hint or _usual_hint(failure, self.command),
            log=self.log,
            code=code,
            verbatim=gate,
            kind=failure.kind,
            host=failure.host,
            step=failure.step,
            later=later,
        )

    def document(self) -> dict[str, Any]:
        """The versioned document of --json; cai/schemas/ describes it."""
        result: dict[str, Any] = {
            **_head(self.command, self.exit_code),
            "platform": self.platform,
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 1),
            "warnings": self.warnings,
            "notes": self.notes,
            "log": self.log or None,
            "errors": [error_document(error) for error in self.errors],
        }
        if self.command == "doctor":
            return {**result, "findings": [asdict(finding) for finding in self.findings]}
        return {
            **result,
            "changed": self.changed,
            "counts": self.counts,
            "gate": [asdict(gate) for gate in self.gates],
            "actions": [asdict(action) for action in self.actions],
            "diffs": [asdict(diff) for diff in self.diffs],
            "steps": [_step_document(step) for step in self.steps if step.status != "skipped"],
        }


def error_report(command: str, error: CaiError) -> dict[str, Any]:
    """The document of a command that ended before it had a result."""
    return {**_head(command, error.code), "errors": [error_document(error)], "log": error.log or None}


def internal(message: str, log: str, details: str = "") -> CaiError:
    """Describe a bug of cai."""
    return CaiError(
        message,
        details=f"{details}\nThis is a mistake in cai, not in your machine.".strip(),
        hint="run `cai doctor --bundle cai-bundle.tar.gz` and attach the file to a bug report",
        log=log,
        code=Exit.INTERNAL,
    )


def error_document(error: CaiError) -> dict[str, Any]:
    """One error as data."""
    return {
        "kind": error.kind,
        "message": error.message,
        "details": error.details,
        "hint": error.hint,
        "host": error.host,
        "step": error.step,
        "log": error.log or None,
    }


def _head(command: str, code: Exit) -> dict[str, Any]:
    return {"version": SCHEMA_VERSION, "command": command, "ok": code == Exit.OK, "exit_code": int(code)}


def _once(texts: list[str], text: str) -> None:
    if text not in texts:
        texts.append(text)


def _step_document(step: events.Step) -> dict[str, Any]:
    data = asdict(step)
    data.pop("quiet")
    return {**data, "seconds": round(step.seconds, 2)}


def _usual_hint(failure: events.Failure, command: str) -> str:
    if failure.kind == "unreachable":
        return f"check that the machine is on and reachable, then run `cai {command}` again"
    return "" if failure.kind == "gate" else f"run `cai {command} --verbose` to see Ansible's own output"
