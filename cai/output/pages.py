"""What stands at the end: the summary of a run, the plan of a dry run, the health report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cai.events import Action, Diff, Finding
from cai.output.base import MARKS, component, styled
from cai.platforms import Platform
from cai.text import count, duration, line, unified

if TYPE_CHECKING:
    from rich.console import Console

    from cai.report import Report

NEXT_COMMAND = "docker --context containai-secure run --rm -it --runtime=sysbox-runc ubuntu:24.04"
_DONE = {
    "install": "installed", "create": "created", "change": "changed", "start": "started", "restart": "restarted",
    "stop": "stopped", "enable": "enabled", "reload": "reloaded", "remove": "removed", "leave": "left",
    "check": "checked",
}  # fmt: skip
_COLOURS = {"remove": "red", "leave": "dim", "check": "dim", "install": "green", "create": "green"}
_VERDICTS = {
    "pass": "passes",
    "conflict": "a seccomp conflict",
    "inconclusive": "no answer; setup goes on",
}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def summary(out: Console, report: Report) -> None:
    """Say what was done, how long it took, what to know, and what to type next."""
    done = [action for action in report.actions if action.verb not in ("leave", "check")]
    if done:
        out.print(styled("\nDone", "bold"))
    for action in done:
        text = styled(f"  {line(_DONE.get(action.verb, action.verb)):<10} ", _COLOURS.get(action.verb, "yellow"))
        out.print(text.append(line(action.what), style="default"), soft_wrap=True)
    _notes(out, report)
    if report.command == "uninstall":
        verdict, rest = "Removed" if report.changed else "Nothing was left to remove", ""
    else:
        verdict, rest = "The secure engine is ready", "" if report.changed else "nothing had to be changed, "
    steps = sum(step.status in ("ok", "changed") and not step.quiet for step in report.steps)
    rest += count(steps, "step") + (f", {report.changed} changed" if report.changed else "")
    rest += f", {count(len(report.warnings), 'warning')}" if report.warnings else ""
    tail = f" ({rest}, {duration(report.seconds)})."
    out.print(styled(f"\n{verdict}", "bold green").append(tail, style="not bold default"), soft_wrap=True)
    if report.command == "setup":
        out.print("Start a Sysbox container:", soft_wrap=True)
        out.print(styled(f"  {NEXT_COMMAND}", "cyan"), soft_wrap=True)


def _notes(out: Console, report: Report) -> None:
    for note in report.notes:
        out.print(styled("\nNote: ", "bold").append(line(note), style="not bold default"), soft_wrap=True)


def plan(out: Console, report: Report) -> None:
    """Say what a real run would do: by component, with diffs, the gate's verdict, and the counts last."""
    title = Platform(report.platform).title
    out.print(styled(f"Plan of `cai {report.command}` ({title}); nothing has been changed.", "bold"), soft_wrap=True)
    # Hundreds of lines of files that go would hide what goes; --json has them.
    diffs = [diff for diff in report.diffs if diff.after or report.command != "uninstall"]
    for role in dict.fromkeys([a.role for a in report.actions] + [d.role for d in diffs]):
        out.print(styled(f"\n{component(role)}", "bold"))
        _component(out, [a for a in report.actions if a.role == role], [d for d in diffs if d.role == role])
    for gate in report.gates:
        found = f" ({line(gate.found)})" if gate.found else ""
        out.print(f"\nGate: {_VERDICTS[gate.verdict]}{found}", soft_wrap=True)
    _notes(out, report)
    out.print(styled(f"\n{_counts(report)}", "bold"), soft_wrap=True)


def _component(out: Console, actions: list[Action], diffs: list[Diff]) -> None:
    """Write the actions of a component, each file's diff below the action that names it."""
    for action in actions:
        text = styled(f"  would {line(action.verb):<8} ", _COLOURS.get(action.verb, "yellow"))
        out.print(text.append(line(action.what), style="default"), soft_wrap=True)
        for diff in [diff for diff in diffs if diff.after_header in action.what or diff.before_header in action.what]:
            diffs.remove(diff)
            _diff(out, diff)
    for diff in diffs:
        _diff(out, diff)


def _diff(out: Console, diff: Diff) -> None:
    for row in unified(diff):
        out.print(styled(f"    {row}", _DIFF_COLOURS.get(row[:1], "")), soft_wrap=True)


def _counts(report: Report) -> str:
    wanted = {verb: number for verb, number in report.counts.items() if verb not in ("leave", "check")}
    counts = ", ".join(f"{number} to {line(verb)}" for verb, number in wanted.items())
    if report.failures:
        place = " at the gate" if report.failures[0].kind == "gate" else ""
        return f"Plan: `cai {report.command}` would stop{place}, {f'after {counts}' if counts else 'changing nothing'}."
    return f"Plan: {counts or 'nothing to ' + ('remove' if report.command == 'uninstall' else 'change')}."


def health(out: Console, report: Report) -> None:
    """Write the health report: a line a part, with the command that mends it."""
    width = max((len(line(finding.part)) for finding in report.findings), default=0)
    for finding in report.findings:
        _finding(out, finding, width)
    _notes(out, report)
    states = [finding.status for finding in report.findings]
    if report.sick:
        style, verdict = "bold red", f"{count(report.sick, 'part')} of {len(states)} must be mended"
    else:
        style, verdict = "bold green", f"Healthy: {count(len(states), 'part')} looked at"
    more = [
        f"{states.count(state)} {word}"
        for state, word in (("warn", "to look at"), ("unknown", "unknown"))
        if state in states
    ]
    out.print(styled(f"\n{', '.join([verdict, *more])}.", style), soft_wrap=True)


def _finding(out: Console, finding: Finding, width: int) -> None:
    mark, word, colour = MARKS[finding.status]
    part = f"{line(finding.part):<{width}}"
    if not out.is_terminal:
        hint = f" -> {line(finding.hint)}" if finding.hint else ""
        out.print(f"{word:<8} {part}  {line(finding.found)}{hint}", soft_wrap=True)
        return
    out.print(
        styled(f"{mark} ", colour)
        .append(part, style="bold default")
        .append(f"  {line(finding.found)}", style="default")
    )
    if finding.hint:
        out.print(styled("    → ", "cyan").append(line(finding.hint), style="default"), soft_wrap=True)
