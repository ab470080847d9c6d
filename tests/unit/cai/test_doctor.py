"""`cai doctor --fix` runs setup after a question, and looks again."""

import json

import pytest

SICK = (
    "- name: Look\n  pretend: {result: {findings: [{part: Engine, status: STATUS, found: it is so, hint: run it}]}}\n"
)


@pytest.fixture
def sick(sandbox):
    sandbox.tasks(SICK.replace("STATUS", "fail"), "doctor")
    return sandbox


def ran(sandbox):
    """The names of the steps that were run, by the folder that only a setup makes."""
    runs = sandbox.home / ".local/state/containai/runs"
    return len(list(runs.iterdir())) if runs.exists() else 0


def test_with_yes_setup_runs_and_the_report_is_the_one_after_it(sick):
    done = sick.quick("doctor", "--fix", "--yes", "--json")
    assert json.loads(done.stdout)["command"] == "doctor"
    assert done.returncode == 1  # the stub mends nothing
    assert ran(sick) == 1


def test_without_a_terminal_it_does_not_ask_and_does_nothing(sick):
    done = sick.quick("doctor", "--fix")
    assert (done.returncode, ran(sick)) == (2, 0)
    assert "`cai doctor --fix --yes`" in done.stderr


@pytest.mark.parametrize("status", ["pass", "warn", "unknown"])
def test_what_is_healthy_is_left(sandbox, status):
    sandbox.tasks(SICK.replace("STATUS", status), "doctor")
    done = sandbox.quick("doctor", "--fix", "--yes")
    assert (done.returncode, ran(sandbox)) == (0, 0)


def test_the_text_for_a_bug_report_is_all_of_stdout(sick):
    done = sick.quick("doctor", "--issue")
    assert done.stdout.startswith("<!-- Made by `cai doctor --issue`")
    assert "- fail: Engine: it is so -> run it" in done.stdout
    assert done.returncode == 1
    assert sick.quick("doctor", "--issue", "--json").returncode == 2


def test_an_unsupported_machine_is_said_once(sandbox):
    finding = "{part: platform, status: fail, found: This is a teapot., hint: run `kettle`}"
    failure = f"{{msg: This is a teapot., hint: run `kettle`, failure: unsupported, findings: [{finding}]}}"
    sandbox.tasks(f"- name: Look\n  pretend: {{failure: {failure}}}\n", "doctor")
    done = sandbox.quick("doctor")
    assert done.returncode == 3
    assert (done.stdout + done.stderr).count("teapot") == 1
    document = json.loads(sandbox.quick("doctor", "--json").stdout)
    assert [error["kind"] for error in document["errors"]] == ["unsupported"]
