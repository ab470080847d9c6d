"""Turns ansible-runner's events into typed items. Pure: imports nothing of ours, and never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Plumbing that no user wants to see ticking by.
QUIET_ACTIONS = frozenset(
    {"assert", "debug", "fail", "group_by", "add_host", "set_fact", "set_stats", "meta", "validate_argument_spec"}
    | {"include_role", "include_tasks", "include_vars", "import_role", "import_tasks", "import_playbook"}
)
FINDING_STATES = ("pass", "warn", "fail", "unknown")
GATE_STATES = ("pass", "conflict", "inconclusive")
_ENDS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
# What Ansible says when it has nothing to say.
_PREFIXES = re.compile(r"\A((Task|Module|Action) failed: )+")
_EMPTY_MESSAGES = ("non-zero return code", "MODULE FAILURE", "One or more items failed", "All items completed")
_NO_ANSWER = "Module result deserialization failed"


@dataclass(frozen=True, slots=True)
class Play:
    """A play begins."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """A task begins ("running") or ends, on one host."""

    status: str
    name: str
    role: str = ""
    host: str = ""
    seconds: float = 0.0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something done or, in a dry run, to be done."""

    verb: str
    what: str
    role: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Diff:
    """A file's text before and after."""

    before_header: str
    after_header: str
    before: str
    after: str
    role: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning, or a note for the end of the run."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict of the seccomp gate."""

    verdict: str
    found: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the health report."""

    part: str
    status: str
    found: str
    hint: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Something running that the command would end; the user is asked first."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host failed."""

    kind: str
    message: str
    details: str = ""
    hint: str = ""
    step: str = ""
    host: str = ""

    @property
    def text(self) -> str:
        """The whole message, as the module wrote it."""
        return f"{self.message}\n{self.details}".rstrip("\n")


@dataclass(frozen=True, slots=True)
class Stats:
    """The end of the run: numbers a host."""

    failed: tuple[str, ...]
    unreachable: tuple[str, ...]
    changed: int
    ok: int


@dataclass(frozen=True, slots=True)
class Output:
    """Ansible's own text."""

    text: str


Item = Play | Step | Action | Diff | Notice | Gate | Finding | Confirm | Failure | Stats | Output


def parse(event: Any) -> tuple[Item, ...]:
    """Read one event of ansible-runner; anything malformed yields fewer items, never an error."""
    return tuple(_parse(_dict(event)))


def _parse(event: dict[Any, Any]) -> Iterator[Item]:
    kind = _text(event.get("event"))
    data = _dict(event.get("event_data"))
    if _text(event.get("stdout")):
        yield Output(_text(event.get("stdout")))
    if kind == "playbook_on_play_start":
        yield Play(_text(data.get("name")))
    elif kind == "playbook_on_task_start":
        yield _step(data, "running")
    elif kind == "runner_item_on_ok":
        yield from _outcome(data, _dict(data.get("res")))
    elif kind in _ENDS:
        yield from _end(data, _ENDS[kind])
    elif kind == "playbook_on_stats":
        yield Stats(
            failed=_hosts(data.get("failures")),
            unreachable=_hosts(data.get("dark")),
            changed=sum(_numbers(data.get("changed"))),
            ok=sum(_numbers(data.get("ok"))),
        )


def _end(data: dict[Any, Any], status: str) -> Iterator[Item]:
    result = _dict(data.get("res"))
    if status == "failed" and data.get("ignore_errors") is True:
        yield _step(data, "ignored")
        return
    if status == "ok" and result.get("changed") is True:
        status = "changed"
    yield _step(data, status)
    if status in ("ok", "changed", "failed") and not isinstance(result.get("results"), list):
        yield from _outcome(data, result)
    if status in ("failed", "unreachable"):
        yield _failure(data, result, status)


def _step(data: dict[Any, Any], status: str) -> Step:
    action = _text(data.get("task_action")).rpartition(".")[2]
    return Step(
        status=status,
        name=_text(data.get("task")) or _text(data.get("name")),
        role=_text(data.get("role")).rpartition(".")[2],
        host=_text(data.get("host")),
        seconds=_number(data.get("duration")),
        quiet=action in QUIET_ACTIONS,
    )


def _outcome(data: dict[Any, Any], result: dict[Any, Any]) -> Iterator[Item]:
    """Read what a module says it did."""
    step = _step(data, "")
    actions = [item for item in map(_dict, _list(result.get("actions"))) if _text(item.get("what"))]
    for item in actions:
        yield Action(_text(item.get("verb")) or "change", _text(item["what"]), step.role, step.host)
    if result.get("changed") is True and not actions:
        yield Action("change", step.name, step.role, step.host)
    yield from _diffs(result.get("diff"), step)
    for key, kind in (("warnings", "warning"), ("notes", "note")):
        yield from (Notice(kind, text) for text in map(_text, _list(result.get(key))) if text)
    yield from (Confirm(text) for text in map(_text, _list(result.get("confirm"))) if text)
    gate = _dict(result.get("gate"))
    if gate.get("verdict") in GATE_STATES:
        yield Gate(gate["verdict"], _text(gate.get("found")), step.host)
    for item in map(_dict, _list(result.get("findings"))):
        state = item.get("status")
        yield Finding(
            part=_text(item.get("part")) or step.name,
            status=state if state in FINDING_STATES else "unknown",
            found=_text(item.get("found")),
            hint=_text(item.get("hint")),
            host=step.host,
        )


def _diffs(raw: Any, step: Step) -> Iterator[Diff]:
    for item in map(_dict, raw if isinstance(raw, list) else [raw]):
        before, after = _content(item.get("before")), _content(item.get("after"))
        if before != after:
            header = _text(item.get("before_header")) or _text(item.get("after_header")) or step.name
            yield Diff(header, _text(item.get("after_header")) or header, before, after, step.role, step.host)


def _content(value: Any) -> str:
    """Read one side of a diff; builtin modules give mappings for file modes and the like."""
    if isinstance(value, dict):
        return "".join(f"{_text(key)}: {_text(value[key])}\n" for key in value)
    return _text(value)


def _failure(data: dict[Any, Any], result: dict[Any, Any], status: str) -> Failure:
    items = [item for item in map(_dict, _list(result.get("results"))) if item.get("failed") is True]
    cause = items[0] if items else result
    message, details = _message(cause, _text(data.get("task")))
    kind = _text(cause.get("failure"))
    if status == "unreachable":
        kind = "unreachable"
    elif kind not in ("unsupported", "precondition", "gate"):
        kind = "failed"
    return Failure(kind, message, details, _text(cause.get("hint")), _text(data.get("task")), _text(data.get("host")))


def _message(result: dict[Any, Any], task: str) -> tuple[str, str]:
    """Split a failure's text into its first line and the rest; a useless one gives way to what the program said."""
    raw = result.get("msg")
    text = "\n".join(map(_text, raw)) if isinstance(raw, list) else _text(raw)
    if text.strip().startswith(_NO_ANSWER):
        return f"The step “{task or 'unnamed'}” ended without an answer: it was killed, or memory ran out.", ""
    if text.strip() and not text.strip().startswith(_EMPTY_MESSAGES):
        text = _PREFIXES.sub("", text.strip("\n"))
        first, _, rest = text.partition("\n")
        return first, rest.rstrip()
    said = next((s for s in (_text(result.get(k)).strip() for k in ("stderr", "module_stderr", "stdout")) if s), "")
    code = result.get("rc")
    ending = f" (exit status {code})" if _small(code) else ""
    if "Traceback (most recent call last)" in said:
        said = said.splitlines()[-1]
    return f"The step “{task or 'unnamed'}” failed{ending}.", "\n".join(said.splitlines()[-8:])


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, float) or _small(value) else ""


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0.0


def _small(value: Any) -> bool:
    """Whether it is a whole number that can be written: Python refuses one of thousands of digits."""
    return isinstance(value, int) and abs(value) < 10**18


def _numbers(value: Any) -> list[int]:
    return [number for number in _dict(value).values() if _small(number)]


def _hosts(value: Any) -> tuple[str, ...]:
    return tuple(host for host, count in _dict(value).items() if isinstance(host, str) and count)
