"""The real command under a pseudo-terminal, as a person meets it."""

import re
import signal
import sys

import pexpect
import pytest

PLAN = "would remove +the context"
REMOVE = """
- name: Remove the context
  pretend:
    result: {changed: true, actions: [{verb: remove, what: the context}], confirm: [container web1]}
"""


@pytest.fixture
def person(sandbox):
    def start(*arguments, ansible="told"):
        return pexpect.spawn(
            sys.executable,
            ["-m", {"real": "cai", "told": "tests.unit.cai.told"}[ansible], *arguments],
            env=sandbox.environment(TERM="xterm-256color", LANG="C.UTF-8", NO_COLOR="1"),
            cwd="/",
            encoding="utf-8",
            timeout=90,
            dimensions=(40, 100),
            # A session started in the background ignores Ctrl-C, and what it starts inherits that; a person's terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


def interrupt(child):
    """Type Ctrl-C; return the exit status and what was said."""
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before


def end(child):
    text = child.read()
    child.close()
    return child.exitstatus, text


def removals(sandbox):
    """Whether each run that was no check purges."""
    return [given["variables"]["cai_purge"] for given in sandbox.given() if not given["check"]]


@pytest.mark.ansible
def test_setup_shows_a_live_line_then_a_tick_and_the_next_command(sandbox, person):
    sandbox.tasks("- name: Take a while\n  pretend: {sleep: 1.5}\n")
    child = person("setup", ansible="real")
    child.expect("⠋|⠙|⠹|⠸|⠼|⠴|⠦|⠧|⠇|⠏")
    child.expect("Take a while")
    child.expect(r"[1-9]\d*s")
    child.expect("✓ .*Take a while")
    child.expect("cai run -it")
    assert end(child)[0] == 0


@pytest.mark.parametrize(("answer", "code", "removed"), [("y", 0, True), ("n", 1, False), ("\x03", 130, False)])
def test_uninstall_shows_the_plan_names_what_runs_and_asks(sandbox, person, answer, code, removed):
    sandbox.tasks(REMOVE, "uninstall")
    child = person("uninstall")
    child.expect(PLAN)
    child.expect("container web1")
    child.expect(r"Remove all this\? \[y/N\]: ")
    if answer == "\x03":
        status, text = interrupt(child)
    else:
        child.send(f"{answer}\r")
        status, text = end(child)
    assert status == code, text
    assert removals(sandbox) == [False] * removed
    assert "Traceback" not in text


def test_uninstall_asks_nothing_when_nothing_is_there(sandbox, person):
    sandbox.tasks("- name: Look\n  pretend:\n", "uninstall")
    status, text = end(person("uninstall"))
    assert status == 0
    assert "nothing to remove" in text
    assert "[y/N]" not in text


def test_yes_asks_nothing_and_purge_is_passed_on(sandbox, person):
    sandbox.tasks(REMOVE, "uninstall")
    status, text = end(person("uninstall", "--yes", "--purge"))
    assert status == 0, text
    assert "Remove all this" not in text
    assert removals(sandbox) == [True]


@pytest.mark.ansible
def test_ctrl_c_from_the_keyboard(sandbox, person):
    sandbox.tasks("- name: Take a while\n  pretend: {sleep: 60}\n")
    child = person("setup", ansible="real")
    child.expect("Take a while")
    child.sendintr()
    status, text = end(child)
    assert status == 130
    assert "Interrupted" in text
    assert "Traceback" not in text


def test_doctor_draws_marks_and_remedies(sandbox, person):
    finding = "{part: Engine, status: fail, found: it is stopped, hint: run `systemctl start x`}"
    sandbox.tasks(f"- name: Look\n  pretend: {{result: {{findings: [{finding}]}}}}\n", "doctor")
    status, text = end(person("doctor"))
    assert status == 1
    assert re.search(r"✗ \S*Engine\S*  it is stopped", text)
    assert "→ run `systemctl start x`" in text
    assert "\x1b[31m" not in text
