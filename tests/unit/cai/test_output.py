"""What people see, from recorded events. CAI_UPDATE_GOLDEN=1 writes the golden files anew: read them before you commit."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cai import events, output
from cai.errors import CaiError
from cai.report import Report
from cai.text import duration, wrapped

HERE = Path(__file__).parent
PAGES = {"summary": output.summary, "plan": output.plan, "health": output.health}
CASES = [
    ("setup", "summary", 80),
    ("setup", "plan", 80),
    ("setup", "summary", 44),
    ("again", "summary", 80),
    ("again", "plan", 80),
    ("gate", "summary", 80),
    ("gate", "plan", 80),
    ("failure", "summary", 80),
    ("doctor", "health", 80),
    ("doctor", "health", 44),
    ("uninstall", "summary", 80),
    ("uninstall", "plan", 80),
]


def render(scenario, page, width, *, terminal):
    """Write all that a command would write: progress, page, errors."""
    out = output.console(io.StringIO(), force_terminal=terminal, color_system=None, width=width)
    command = scenario if scenario in ("doctor", "uninstall") else "setup"
    report = Report(command, "wsl2", page == "plan", "" if page == "plan" else "/var/log/cai/stdout", seconds=65)
    view = output.View(out, brief=page != "summary")
    for text in (HERE / "recorded" / f"{scenario}.jsonl").read_text().splitlines():
        for item in events.parse(json.loads(text)):
            report.add(item)
            view.show(item)
    if page != "summary" or not report.failures:
        PAGES[page](out, report)
    for error in report.errors:
        output.error(out, error)
    return f"{out.file.getvalue()}[exit {int(report.exit_code)}]\n"


@pytest.mark.parametrize("terminal", [True, False], ids=["tty", "plain"])
@pytest.mark.parametrize(("scenario", "page", "width"), CASES)
def test_golden(scenario, page, width, terminal):
    name = f"{scenario}-{page}-{'tty' if terminal else 'plain'}-{width}.txt"
    golden = HERE / "golden" / name
    text = render(scenario, page, width, terminal=terminal)
    if os.environ.get("CAI_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_summary_has_the_order_of_its_plan():
    """Uninstall stops the engine, removes Sysbox, and takes the engine away: of one component, and not in one go."""
    report = Report("uninstall", "wsl2", True)
    for role, verb, what in (
        ("docker_engine", "stop", "A"),
        ("sysbox", "remove", "B"),
        ("docker_engine", "leave", "C"),
    ):
        report.add(events.Action(verb, what, role))
    shown = {}
    for page in (output.plan, output.summary):
        out = output.console(io.StringIO(), width=80)
        page(out, report)
        shown[page] = re.findall(r"^  (?:would )?(\w+) +([A-C])$", out.file.getvalue(), re.MULTILINE)
    assert shown[output.plan] == [("stop", "A"), ("leave", "C"), ("remove", "B")]
    assert shown[output.summary] == [("stopped", "A"), ("left", "C"), ("removed", "B")]


def test_piped_lines_are_the_same_at_any_width():
    assert render("setup", "summary", 80, terminal=False) == render("setup", "summary", 20, terminal=False)


def test_progress_lines_fit_a_narrow_terminal():
    ticks = [text for text in render("setup", "summary", 30, terminal=True).splitlines() if text.startswith("✓")]
    assert ticks
    assert all(len(text) <= 30 for text in ticks)


def test_no_color_is_obeyed_and_colour_is_the_default_on_a_terminal(monkeypatch):
    def written():
        out = output.console(io.StringIO(), force_terminal=True, color_system="standard", width=80)
        output.error(out, CaiError("x", hint="y"))
        return out.file.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in written()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in written()


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_pipe_is_no_terminal_whatever_the_environment_says(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert not output.console(io.StringIO()).is_terminal


def test_the_live_line_tells_the_step_its_time_and_its_own_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("cai.output.progress.time.monotonic", lambda: 100.0)
    progress = tmp_path / "progress"
    view = output.View(Console(file=io.StringIO(), force_terminal=True, width=60), progress=progress)
    view.show(events.Step("running", "Download the package"))
    monkeypatch.setattr("cai.output.progress.time.monotonic", lambda: 172.0)
    assert view._line().plain[2:] == "Download the package  1m 12s"
    progress.write_text("39%, 12.1 of 31.0 MB\x1b[2J\nmore")
    assert view._line().plain[2:] == "Download the package  39%, 12.1 of 31.0 MB\\x1b[2J  1m 12s"
    view.show(events.Step("running", "Install it"))
    assert view._line().plain[2:] == "Install it  0s"
    view.show(events.Step("running", "Validating arguments against a spec", quiet=True))
    assert view._line().plain[2:] == "Install it  0s"


def test_a_narrow_live_line_keeps_the_step_and_the_time(tmp_path, monkeypatch):
    for width, shown in [(70, "  44%, unpacking docker.io"), (44, "  44%"), (35, "")]:
        monkeypatch.setattr("cai.output.progress.time.monotonic", lambda: 100.0)
        progress = tmp_path / "progress"
        view = output.View(Console(file=io.StringIO(), force_terminal=True, width=width), progress=progress)
        view.show(events.Step("running", "Install Docker's packages"))
        progress.write_text("44%, unpacking docker.io\n")
        assert view._line().plain[2:] == f"Install Docker's packages{shown}  0s"


def planned(lines_before, lines_after):
    out = output.console(io.StringIO(), width=80)
    report = Report("setup", "linux", True)
    before, after = (
        "".join(f"{text} {number}\n" for number in range(size))
        for text, size in (("old", lines_before), ("new", lines_after))
    )
    for item in (events.Action("create", "/x"), events.Diff("/x", "/x", before, after), events.Stats((), (), 1, 1)):
        report.add(item)
    output.plan(out, report)
    return out.file.getvalue()


def test_a_long_new_file_is_shown_by_its_head_and_a_changed_one_whole():
    assert "+new 8" in planned(0, 200)
    assert "+new 9" not in planned(0, 200)
    assert "… 191 more lines; `cai setup --dry-run --json` has them" in planned(0, 200)
    assert "+new 199" in planned(1, 200)
    assert "+new 30" in planned(0, 31)


def test_the_plan_stands_below_the_diffs_and_the_counts_are_its_last_line():
    rows = planned(0, 3).splitlines()
    assert rows.index("  +new 2") < rows.index("  would create   /x")
    assert rows[-1] == "Plan: 1 to create."


@given(st.lists(st.sampled_from(["a", "some words", "`cai setup -e key=value`", "word " * 9])), st.integers(1, 120))
def test_a_wrapped_text_keeps_its_words_and_its_commands(texts, width):
    text = " ".join(texts)
    shown = wrapped(text, width, "Note: ", 6)
    assert shown.startswith("Note: ")
    assert shown[6:].split() == text.split()
    assert shown.count("`cai setup -e key=value`") == texts.count("`cai setup -e key=value`")
    assert all(len(row) <= max(width, 30) for row in shown.splitlines())


def test_the_live_line_goes_away_at_the_end():
    out = output.console(io.StringIO(), force_terminal=True, width=80)
    with output.View(out) as view:
        view.show(events.Step("running", "Wait"))
    assert out.file.getvalue().endswith("\x1b[?25h\x1b[1A\x1b[2K") or "Wait" not in out.file.getvalue().splitlines()[-1]


def test_an_ascii_terminal_gets_question_marks_not_a_crash():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output.error(output.console(stream), CaiError("╔═╗", verbatim=True))
    stream.flush()
    assert stream.buffer.getvalue() == b"???\n"


def test_durations():
    for seconds, text in [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (3605, "1h 00m"),
    ]:
        assert duration(seconds) == text, seconds


def test_a_forced_setup_whose_sysbox_failed_does_not_call_itself_ready():
    out = output.console(io.StringIO(), force_terminal=False, color_system=None, width=80)
    report = Report("setup", "wsl2", seconds=65)
    report.add(events.Finding("isolation", "fail", "A container under sysbox-runc did not start", "`wsl --shutdown`"))
    output.summary(out, report)
    text = out.file.getvalue()
    assert "ready" not in text
    assert "sysbox-runc" not in text
    assert "The engine runs, and Sysbox does not" in text
    assert "docker --context containai-secure run --rm -it ubuntu:24.04" in text
