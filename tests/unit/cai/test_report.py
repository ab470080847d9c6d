import pytest

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


def test_the_last_failure_of_a_host_counts_and_several_hosts_are_named():
    items = [
        Failure("failed", "first", host="a"),
        Failure("failed", "second", host="a"),
        Failure("failed", "b's", host="b"),
    ]
    errors = report(*items, Stats(("a", "b"), (), 0, 0)).errors
    assert [error.message for error in errors] == ["a: second", "b: b's"]


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
