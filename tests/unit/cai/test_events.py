from hypothesis import strategies as st

from cai.events import Action, Confirm, Diff, Failure, Finding, Gate, Notice, Output, Stats, Step, parse


def ended(kind="ok", result=None, **data):
    known = {"task": "Do it", "role": "sysbox", "host": "localhost", "duration": 1.5, "task_action": "sysbox_deb"}
    return {"event": f"runner_on_{kind}", "event_data": {**known, "res": result or {}, **data}}


def only(kind, items):
    return [item for item in items if isinstance(item, kind)]


def failure(result, kind="failed", **data):
    (found,) = only(Failure, parse(ended(kind, result, **data)))
    return found


def test_a_step_that_changed_something():
    assert parse(ended(result={"changed": True, "actions": [{"verb": "create", "what": "/etc/x"}]})) == (
        Step("changed", "Do it", "sysbox", "localhost", 1.5, False),
        Action("create", "/etc/x", "sysbox", "localhost"),
    )


def test_a_builtin_module_that_changed_something_counts_as_an_action_of_its_name():
    assert only(Action, parse(ended(result={"changed": True}))) == [Action("change", "Do it", "sysbox", "localhost")]
    assert only(Action, parse(ended(result={"changed": False}))) == []


def test_plumbing_is_quiet_under_any_spelling():
    for action in ("set_fact", "ansible.builtin.set_fact", "ansible.legacy.include_tasks"):
        (step,) = parse(ended(task_action=action))
        assert step.quiet, action
    assert not parse(ended(task_action="sysbox_merge"))[0].quiet


def test_what_a_result_may_carry():
    result = {
        "warnings": ["careful"],
        "notes": ["log in again"],
        "confirm": ["container web1"],
        "gate": {"verdict": "conflict", "found": "a listener on PID 1"},
        "findings": [{"part": "Engine", "status": "fail", "found": "stopped", "hint": "`systemctl start x`"}],
        "diff": [{"before_header": "a", "after_header": "b", "before": "1\n", "after": "2\n"}],
    }
    assert parse(ended(result=result))[1:] == (
        Diff("a", "b", "1\n", "2\n", "sysbox", "localhost"),
        Notice("warning", "careful"),
        Notice("note", "log in again"),
        Confirm("container web1"),
        Gate("conflict", "a listener on PID 1", "localhost"),
        Finding("Engine", "fail", "stopped", "`systemctl start x`", "localhost"),
    )


def test_a_strange_status_is_unknown_and_a_strange_verdict_is_none():
    items = parse(ended(result={"findings": [{"part": "x", "status": "great"}], "gate": {"verdict": "maybe"}}))
    assert [finding.status for finding in only(Finding, items)] == ["unknown"]
    assert not only(Gate, items)


def test_a_loop_reports_its_items_once():
    item = {"event": "runner_item_on_ok", "event_data": {"task": "Do it", "res": {"changed": True, "warnings": ["w"]}}}
    total = ended(result={"changed": True, "results": [item["event_data"]["res"]], "warnings": ["w"]})
    items = [*parse(item), *parse(total)]
    assert len(only(Action, items)) == 1
    assert len(only(Notice, items)) == 1


def test_a_diff_that_shows_nothing_is_none_and_modes_are_written_as_text():
    assert not only(Diff, parse(ended(result={"diff": {"before": "a", "after": "a"}})))
    (diff,) = only(Diff, parse(ended(result={"diff": {"before": {"mode": "0644"}, "after": {"mode": "0600"}}})))
    assert (diff.before, diff.after) == ("mode: 0644\n", "mode: 0600\n")


def test_a_failure_of_ours_keeps_its_words():
    found = failure({"msg": "Found A; B is needed.\nline two", "hint": "run `b`", "failure": "precondition"})
    assert found == Failure("precondition", "Found A; B is needed.", "line two", "run `b`", "Do it", "localhost")
    assert found.text == "Found A; B is needed.\nline two"


def test_a_gate_keeps_every_line_of_its_box():
    box = "╔══╗\n║ !║\n╚══╝\nfound: listener"
    assert failure({"msg": box, "failure": "gate"}).text == box


def test_ansibles_empty_words_give_way_to_what_the_program_said():
    for result, message, details in [
        ({"msg": "non-zero return code", "rc": 7, "stderr": "no such unit"}, "exit status 7", "no such unit"),
        (
            {
                "msg": "MODULE FAILURE\nSee stdout/stderr",
                "module_stderr": "Traceback (most recent call last):\n  x\nKeyError: 'a'",
            },
            "“Do it” failed",
            "KeyError: 'a'",
        ),
        ({"msg": "Task failed: Module failed: no such file"}, "no such file", ""),
        ({"msg": ""}, "“Do it” failed", ""),
        ({}, "“Do it” failed", ""),
        ({"msg": ["first", "second"]}, "first", "second"),
        (
            {
                "msg": "One or more items failed",
                "results": [{"msg": "fine"}, {"failed": True, "msg": "bad item", "hint": "h"}],
            },
            "bad item",
            "",
        ),
    ]:
        found = failure(result)
        assert message in found.message
        assert not found.message.startswith("Task failed")
        assert found.details == details
        assert "non-zero return code" not in found.text
        assert "Traceback" not in found.text


def test_unreachable_beats_any_kind_the_result_claims():
    assert failure({"msg": "ssh: no route", "failure": "gate"}, "unreachable").kind == "unreachable"
    assert failure({"msg": "x", "failure": "whatever"}).kind == "failed"


def test_a_sudo_that_ansible_does_not_understand_is_no_machine_out_of_reach():
    for said in [
        "Task failed: Timed out waiting for become success or become password prompt.\n>>> Standard Output\n\n>>> Standard Error\n[sudo: x] Password: ",
        "Timeout (12s) waiting for privilege escalation prompt: ",
    ]:
        found = failure({"msg": said, "unreachable": True}, "unreachable")
        assert found.kind == "precondition"
        assert found.message.startswith("sudo gave no answer that Ansible understands")
        assert found.details == ("[sudo: x] Password: " if "sudo:" in said else "")
        assert "`sudo -k true`" in found.hint


def test_an_ignored_failure_is_no_failure():
    (step,) = parse(ended("failed", {"msg": "x"}, ignore_errors=True))
    assert step.status == "ignored"


def test_the_end():
    data = {"failures": {"a": 1, "b": 0}, "dark": {"c": 1}, "changed": {"a": 2, "b": 1}, "ok": {"a": 5}}
    assert parse({"event": "playbook_on_stats", "event_data": data}) == (Stats(("a",), ("c",), 3, 5),)


def test_ansibles_own_text_passes_through():
    assert parse({"event": "verbose", "stdout": "PLAY [x]"}) == (Output("PLAY [x]"),)


KINDS = [*(f"runner_on_{k}" for k in ("ok", "failed", "unreachable", "skipped", "start")), "runner_item_on_ok"]
KINDS += ["playbook_on_stats", "playbook_on_task_start", "playbook_on_play_start", "EOF", "x"]
KEYS = ["res", "task", "role", "host", "duration", "task_action", "ignore_errors", "failures", "dark", "changed", "ok"]
RESULT_KEYS = ["msg", "actions", "diff", "warnings", "notes", "confirm", "gate", "findings", "results", "rc", "stderr"]
INNER_KEYS = ["verb", "what", "before", "after", "before_header", "status", "part", "verdict", "failed", "hint"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(object())
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS + RESULT_KEYS + INNER_KEYS) | st.integers(), inner, max_size=6)
    ),
    max_leaves=20,
)
results = st.dictionaries(st.sampled_from(RESULT_KEYS), anything) | anything
data = st.dictionaries(st.sampled_from(KEYS), results | anything) | anything
malformed = st.fixed_dictionaries(
    {}, optional={"event": st.sampled_from(KINDS) | anything, "event_data": data, "stdout": anything}
)
