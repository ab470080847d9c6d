"""Turns ansible-runner's events into typed items. Pure, and never raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cai.failure_text import plain, small, told, unheard

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
    rescued: tuple[str, ...] = ()  # a host stands here once for each failure that a rescue section dealt with


@dataclass(frozen=True, slots=True)
class Output:
    """Ansible's own text."""

    text: str


Item = Play | Step | Action | Diff | Notice | Gate | Finding | Confirm | Failure | Stats | Output


def parse(event: Any) -> tuple[Item, ...]:
    """Read one event of ansible-runner; anything malformed yields fewer items, never an error."""
    return tuple(_parse(_dict(event)))


def _parse(event: dict[Any, Any]) -> Iterator[Item]:
    kind = plain(event.get("event"))
    data = _dict(event.get("event_data"))
    if plain(event.get("stdout")):
        yield Output(plain(event.get("stdout")))
    if kind == "playbook_on_play_start":
        yield Play(plain(data.get("name")))
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
            rescued=_repeated(data.get("rescued")),
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
    action = plain(data.get("task_action")).rpartition(".")[2]
    return Step(
        status=status,
        name=plain(data.get("task")) or plain(data.get("name")),
        role=plain(data.get("role")).rpartition(".")[2],
        host=plain(data.get("host")),
        seconds=_number(data.get("duration")),
        quiet=action in QUIET_ACTIONS,
    )


def _outcome(data: dict[Any, Any], result: dict[Any, Any]) -> Iterator[Item]:
    """Read what a module says it did."""
    step = _step(data, "")
    actions = [item for item in map(_dict, _list(result.get("actions"))) if plain(item.get("what"))]
    for item in actions:
        yield Action(plain(item.get("verb")) or "change", plain(item["what"]), step.role, step.host)
    if result.get("changed") is True and not actions:
        yield Action("change", step.name, step.role, step.host)
    yield from _diffs(result.get("diff"), step)
    for key, kind in (("warnings", "warning"), ("notes", "note")):
        yield from (Notice(kind, text) for text in map(plain, _list(result.get(key))) if text)
    yield from (Confirm(text) for text in map(plain, _list(result.get("confirm"))) if text)
    gate = _dict(result.get("gate"))
    if gate.get("verdict") in GATE_STATES:
        yield Gate(gate["verdict"], plain(gate.get("found")), step.host)
    for item in map(_dict, _list(result.get("findings"))):
        state = item.get("status")
        yield Finding(
            part=plain(item.get("part")) or step.name,
            status=state if state in FINDING_STATES else "unknown",
            found=plain(item.get("found")),
            hint=plain(item.get("hint")),
            host=step.host,
        )


def _diffs(raw: Any, step: Step) -> Iterator[Diff]:
    for item in map(_dict, raw if isinstance(raw, list) else [raw]):
        before, after = _content(item.get("before")), _content(item.get("after"))
        if before != after:
            header = plain(item.get("before_header")) or plain(item.get("after_header")) or step.name
            yield Diff(header, plain(item.get("after_header")) or header, before, after, step.role, step.host)


def _content(value: Any) -> str:
    """Read one side of a diff; builtin modules give mappings for file modes and the like."""
    if isinstance(value, dict):
        return "".join(f"{plain(key)}: {plain(value[key])}\n" for key in value)
    return plain(value)


def _failure(data: dict[Any, Any], result: dict[Any, Any], status: str) -> Failure:
    items = [item for item in map(_dict, _list(result.get("results"))) if item.get("failed") is True]
    cause = items[0] if items else result
    mute = unheard(cause)
    if mute:
        return Failure("precondition", *mute, plain(data.get("task")), plain(data.get("host")))
    message, details = told(cause, plain(data.get("task")))
    kind = plain(cause.get("failure"))
    if status == "unreachable":
        kind = "unreachable"
    elif kind not in ("unsupported", "precondition", "gate"):
        kind = "failed"
    return Failure(kind, message, details, plain(cause.get("hint")), plain(data.get("task")), plain(data.get("host")))


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0.0


def _numbers(value: Any) -> list[int]:
    return [number for number in _dict(value).values() if small(number)]


def _repeated(value: Any) -> tuple[str, ...]:
    """List the hosts of a mapping {host: number}, each as often as its number says (a hundred times at most)."""
    counts = [(host, count) for host, count in _dict(value).items() if isinstance(host, str) and small(count)]
    return tuple(host for host, count in counts for _ in range(min(count, 100)))


def _hosts(value: Any) -> tuple[str, ...]:
    return tuple(host for host, count in _dict(value).items() if isinstance(host, str) and count)
