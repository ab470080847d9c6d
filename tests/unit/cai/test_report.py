import io

import pytest

from cai import output
from cai.errors import Exit
from cai.events import Action, Failure, Notice, Output, Stats, Step
from cai.report import KILLED, Report

DONE = Stats((), (), 0, 1)


def report(*items, command="setup", **options):
    made = Report(command, "wsl2", **options)
    for item in items:
        made.add(item)
    return made


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([DONE], Exit.OK),
        ([], Exit.INTERNAL),  # Ansible never came to its end
        ([Failure("unreachable", "x", host="a"), Stats((), ("a",), 0, 0)], Exit.UNREACHABLE),
        ([Failure("gate", "x", host="a"), Stats(("a",), (), 0, 0)], Exit.FAILED),
        ([Failure("failed", "x", host="a"), DONE], Exit.OK),  # rescued
        ([Failure("unsupported", "x", host="a"), Stats(("a",), (), 0, 0)], Exit.PRECONDITION),
        ([Step("changed", "s"), Failure("unsupported", "x", host="a"), Stats(("a",), (), 0, 0)], Exit.FAILED),
        (
            [Failure("precondition", "x", host="a"), Failure("failed", "y", host="b"), Stats(("a", "b"), (), 0, 0)],
            Exit.FAILED,
        ),
    ],
)
def test_exit_codes(items, code):
    assert report(*items).exit_code == code


def test_ansibles_own_code_never_becomes_ours():
    made = report(DONE)
    made.return_code = 4
    assert made.exit_code == Exit.INTERNAL


def test_a_killed_ansible_is_no_mistake_of_ours():
    made = report()
    made.return_code = KILLED
    assert made.exit_code == Exit.FAILED
    (error,) = made.errors
    assert "killed" in error.message
    assert "cai setup" in error.hint


def test_the_first_failure_of_a_host_is_reported_and_what_failed_after_it_stands_below():
    items = [
        Failure("failed", "first", host="a", step="s"),
        Failure("failed", "second", host="a"),
        Failure("failed", "b's", host="b"),
    ]
    errors = report(*items, Stats(("a", "b"), (), 0, 0)).errors
    assert [(error.message, error.later) for error in errors] == [
        ("a: first", False), ("b: b's", False), ("a: second", True),
    ]  # fmt: skip
    assert (errors[0].kind, errors[0].host, errors[0].step) == ("failed", "a", "s")


def test_the_comparison_after_a_failure_does_not_hide_it():
    made = report(
        Failure("precondition", "The disk is full.", host="localhost"),
        Failure("failed", "Something that is not ours changed.", host="localhost"),
        Stats(("localhost",), (), 1, 1),
    )
    out = output.console(io.StringIO(), width=80)
    for error in made.errors:
        output.error(out, error)
    text = out.file.getvalue()
    assert text.startswith("Error: The disk is full.\n Hint: ")
    assert "\n Also: Something that is not ours changed.\n" in text
    assert made.exit_code == Exit.FAILED  # 3 promises that nothing was changed


def test_a_rescued_failure_is_not_the_first_one():
    items = [Failure("failed", "rescued", host="a"), Failure("failed", "real", host="a")]
    errors = report(*items, Stats(("a",), (), 0, 0, ("a",))).errors
    assert [error.message for error in errors] == ["a: real"]


def test_a_host_that_was_lost_after_its_first_failure_did_not_fail_for_that():
    items = [Failure("failed", "first", host="a"), Failure("unreachable", "gone", host="a")]
    assert report(*items, Stats(("a",), ("a",), 0, 0)).exit_code == Exit.FAILED


def test_every_error_has_a_hint():
    for kind in ("failed", "precondition", "unsupported", "unreachable"):
        made = report(Failure(kind, "x", host="a"), Stats(("a",), (), 0, 0))
        assert all(error.hint for error in made.errors)
    assert report().errors[0].hint
    assert report(interrupted=True).errors[0].hint


def test_ansibles_last_word_stands_in_the_report_of_a_mistake():
    assert "no such role" in report(Output("[ERROR]: no such role"), Output("x")).errors[0].details


def test_counts_and_repeated_texts():
    made = report(Action("create", "a"), Action("start", "b"), Action("create", "c"), *[Notice("note", "n")] * 3, DONE)
    assert made.counts == {"create": 2, "start": 1}
    assert made.notes == ["n"]


def test_a_doctor_that_found_nothing_is_not_healthy():
    assert report(DONE, command="doctor").exit_code == Exit.FAILED
