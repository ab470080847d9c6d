"""What stands at the end: the summary of a run, the plan of a dry run, the health report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cai import engine
from cai.events import Action, Diff, Finding
from cai.guest import in_vm
from cai.output.base import MARKS, component, styled
from cai.platforms import Platform
from cai.text import count, duration, line, unified, wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cai.report import Report
    from cai.status import Status

NEXT_COMMAND = "cai run -it ubuntu:24.04"
# For a context that was named on the command line alone: the next `cai` does not know it.
NEXT_PLAIN = "docker --context {context} run -it --runtime=sysbox-runc ubuntu:24.04"
ORDINARY_COMMAND = "docker --context {context} run --rm -it ubuntu:24.04"
# A plan's verb, and the word for it when it is done.
DONE = {
    "install": "installed", "create": "created", "change": "changed", "start": "started", "restart": "restarted",
    "stop": "stopped", "enable": "enabled", "disable": "disabled", "reload": "reloaded", "remove": "removed",
    "leave": "left", "check": "checked",
}  # fmt: skip
_COLOURS = {"remove": "red", "leave": "dim", "check": "dim", "install": "green", "create": "green"}
_VERDICTS = {
    "pass": "passes",
    "conflict": "a seccomp conflict",
    "inconclusive": "no answer; setup goes on",
}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
# A new file longer than this is shown by its head: hundreds of generated lines would hide the plan.
_LONG, _HEAD = 40, 12
# Below this a found text stands under its part's name, not beside it.
_NARROW = 60


def _say(out: Console, text: str, indent: int = 0, *, label: str | Text = "", style: str = "") -> None:
    """Write a text after its label; on a terminal filled to its width, elsewhere as one line."""
    head = styled(label, style) if isinstance(label, str) else label
    body = wrapped(text, out.width, head.plain, indent) if out.is_terminal else f"{head.plain}{line(text)}"
    out.print(head.append(body[len(head) :], style="not bold default"), soft_wrap=True)


def _headline(out: Console, text: str, style: str = "bold") -> None:
    out.print(styled(wrapped(text, out.width) if out.is_terminal else line(text), style), soft_wrap=True)


def summary(out: Console, report: Report) -> None:
    """Say what was done, how long it took, what to know, and what to type next."""
    done = [action for _, actions in _by_component(report) for action in actions if action.verb != "check"]
    if done:
        out.print(styled("\nDone", "bold"))
    for action in done:
        _action(out, action, DONE.get(action.verb, action.verb))
    if report.command == "uninstall":
        verdict, rest = "Removed" if report.changed else "Nothing was left to remove", ""
    else:
        verdict = "The secure engine is ready" if report.isolated else "The engine runs, and Sysbox does not"
        rest = "" if report.changed else "nothing had to be changed, "
    steps = sum(step.status in ("ok", "changed") and not step.quiet for step in report.steps)
    rest += count(steps, "step") + (f", {report.changed} changed" if report.changed else "")
    rest += f", {count(len(report.warnings), 'warning')}" if report.warnings else ""
    out.print()
    style = "bold green" if report.isolated else "bold yellow"
    _say(out, f"({rest}, {duration(report.seconds)}).", label=f"{verdict} ", style=style)
    _notes(out, report)
    if report.command == "setup":
        what = "an isolated container" if report.isolated else "an ordinary container, which Sysbox does not isolate"
        command = (NEXT_PLAIN if report.isolated else ORDINARY_COMMAND).format(context=line(report.context))
        if report.isolated and report.context == engine.context_name():
            command = NEXT_COMMAND
        out.print(f"Start {what}:", soft_wrap=True)
        out.print(styled(f"  {command}", "cyan"), soft_wrap=True)


def _by_component(report: Report) -> list[tuple[str, list[Action]]]:
    """Order the actions as both a plan and the summary of its run have them: one is read beside the other."""
    roles = dict.fromkeys(action.role for action in report.actions)
    return [(role, [action for action in report.actions if action.role == role]) for role in roles]


def _action(out: Console, action: Action, word: str) -> None:
    label = f"  {line(word):<{14 if word.startswith('would') else 10}} "
    _say(out, action.what, len(label), label=label, style=_COLOURS.get(action.verb, "yellow"))


def _notes(out: Console, report: Report) -> None:
    for note in report.notes:
        _say(out, note, 6, label="Note: ", style="bold")


def plan(out: Console, report: Report) -> None:
    """Say what a real run would do: the diffs, then the plan by component, the gate's verdict, and the counts last."""
    # The list stands below the diffs, where a terminal shows it. The text of what an uninstall removes is in --json.
    diffs = [diff for diff in report.diffs if diff.after or report.command != "uninstall"]
    if diffs:
        out.print(styled(f"What `cai {report.command}` would write:", "bold"), soft_wrap=True)
        for diff in diffs:
            _diff(out, diff, f"`cai {report.command} --dry-run --json` has them")
        out.print()
    title = Platform(report.platform).title
    _headline(out, f"Plan of `cai {report.command}` ({title}); nothing has been changed.")
    for role, actions in _by_component(report):
        out.print(styled(f"\n{component(role)}", "bold"))
        for action in actions:
            _action(out, action, f"would {action.verb}")
    for gate in report.gates:
        out.print()
        _say(out, _VERDICTS[gate.verdict] + (f"; {gate.found}" if gate.found else ""), 6, label="Gate: ", style="bold")
    if report.notes:
        out.print()
        _notes(out, report)
    out.print()
    _headline(out, _counts(report))


def _diff(out: Console, diff: Diff, rest: str) -> None:
    rows = unified(diff)
    left = len(rows) - _HEAD if not diff.before and len(rows) > _LONG else 0
    for row in rows[:_HEAD] if left else rows:
        out.print(styled(f"  {row}", _DIFF_COLOURS.get(row[:1], "")), soft_wrap=True)
    if left:
        out.print(styled(f"  … {left} more lines; {rest}", "dim"), soft_wrap=True)


def _counts(report: Report) -> str:
    wanted = {verb: number for verb, number in report.counts.items() if verb not in ("leave", "check")}
    counts = ", ".join(f"{number} to {line(verb)}" for verb, number in wanted.items())
    if report.failures:
        place = " at the gate" if report.failures[0].kind == "gate" else ""
        return f"Plan: `cai {report.command}` would stop{place}, {f'after {counts}' if counts else 'changing nothing'}."
    return f"Plan: {counts or 'nothing to ' + ('remove' if report.command == 'uninstall' else 'change')}."


def health(out: Console, report: Report) -> None:
    """Write the health report: a line a part, with the command that mends it."""
    width = max((len(_part(finding)) for finding in report.findings), default=0)
    for finding in report.findings:
        _finding(out, finding, width)
    if report.notes:
        out.print()
        _notes(out, report)
    states = [finding.status for finding in report.findings]
    if report.sick:
        style, verdict = "bold red", f"{count(report.sick, 'part')} of {len(states)} must be mended"
    elif report.failures:
        style, verdict = "bold yellow", f"{count(len(states), 'part')} looked at, the others could not be"
    else:
        style, verdict = "bold green", f"Healthy: {count(len(states), 'part')} looked at"
    more = [
        f"{states.count(state)} {word}"
        for state, word in (("warn", "to look at"), ("unknown", "unknown"))
        if state in states
    ]
    out.print()
    _headline(out, f"{', '.join([verdict, *more])}.", style)


def _part(finding: Finding) -> str:
    return line(finding.part) + (" in the VM" if in_vm(finding.host) else "")


def _finding(out: Console, finding: Finding, width: int) -> None:
    mark, word, colour = MARKS[finding.status]
    part = f"{_part(finding):<{width}}"
    if not out.is_terminal:
        hint = f" -> {line(finding.hint)}" if finding.hint else ""
        out.print(f"{word:<8} {part}  {line(finding.found)}{hint}", soft_wrap=True)
        return
    head = styled(f"{mark} ", colour).append(part, style="bold default")
    if out.width < _NARROW:
        head.rstrip()
        out.print(head)
        _say(out, finding.found, 4, label="    ")
    else:
        _say(out, finding.found, len(head) + 2, label=head.append("  "))
    if finding.hint:
        _say(out, finding.hint, 6, label="    → ", style="cyan")


_STATES = {
    "runs": "runs", "stopped": "does not run", "forbidden": "may not be opened by this user", "absent": "is not there",
    "silent": "gives no answer",
}  # fmt: skip


def status(out: Console, found: Status) -> None:
    """Write the state of the engine, a line a thing, and its containers."""
    mark, _, colour = MARKS["pass" if found.state == "runs" else "fail"]
    where = f"{_STATES[found.state]}{f', Docker {line(found.docker)}' if found.docker else ''}"
    out.print(styled(f"{mark} ", colour).append(f"Engine      {where}", style="default"), soft_wrap=True)
    rows = [("Socket", f"{found.engine.socket} (context {found.engine.context})"), ("Sysbox", found.sysbox)]
    for name, text in [*rows, ("VM", f"{found.engine.context}: {found.vm}" if found.vm else "")]:
        if text:
            out.print(f"  {name:<10}  {line(text)}", soft_wrap=True)
    for text in found.advisories:
        _attention(out, "Advisory", text)
    for text in (f"{item.name} runs under {item.runtime}, without Sysbox's isolation" for item in found.plain):
        _attention(out, "Container", text)
    if found.state == "runs":
        _containers(out, found)


def _attention(out: Console, name: str, text: str) -> None:
    mark, _, colour = MARKS["warn"]
    out.print(styled(f"{mark} ", colour).append(f"{name:<10}  {line(text)}", style="default"), soft_wrap=True)


def _containers(out: Console, found: Status) -> None:
    table = [(item.name, item.runtime, item.status, item.image) for item in found.containers]
    out.print(f"  Containers  {f'{len(table)} running' if table else 'none running'}")
    widths = [max((len(line(row[at])) for row in table), default=0) for at in range(3)]
    for row in table:
        cells = [f"{line(cell):<{width}}" for cell, width in zip(row, widths, strict=False)]
        out.print(f"    {'  '.join(cells)}  {line(row[3])}".rstrip(), soft_wrap=True)
