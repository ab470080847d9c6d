"""Every error that cai itself raises says what was found, and what to type; whatever happens, nobody sees JSON or a traceback."""

from __future__ import annotations

import ast
import functools
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import cai
from cai import events, output
from cai.report import Report

SOURCES = sorted(Path(cai.__file__).parent.rglob("*.py"))
MAKERS = {"CaiError", "_bad", "_refused", "internal"}
# An answer to the user's own "no"; an error that is handed on; the user's Ctrl-C.
WITHOUT_HINT = {"Nothing was removed.", "Nothing was changed."}


def text_of(node: ast.AST | None) -> str | None:
    """A text, {} for what is only known at run time; None for what is wholly so."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.BinOp(left=left):
            return text_of(left)
        case ast.IfExp(body=body, orelse=other):
            return " / ".join(filter(None, (text_of(body), text_of(other)))) or None
    return None


def errors() -> Iterator[tuple[str, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MAKERS:
                yield f"{path.name}:{node.lineno}", node


@functools.cache
def defaults() -> dict[str, str]:
    """The hint that a maker of errors gives on its own."""
    found = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        named = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name in MAKERS and node.args.defaults:
                value = node.args.defaults[-1]
                found[node.name] = text_of(named.get(value.id) if isinstance(value, ast.Name) else value) or ""
    return found


def test_an_error_is_a_sentence_with_a_command_to_type() -> None:
    for where, node in errors():
        maker = getattr(node.func, "id", getattr(node.func, "attr", ""))
        message = text_of(node.args[0])
        if message and message != "{}":
            assert re.match(r"[A-Z{`]|-e |sudo ", message), message
            assert message.endswith((".", "}")), message
        given_hint = next((keyword.value for keyword in node.keywords if keyword.arg == "hint"), None)
        if maker in ("_bad", "_refused") and len(node.args) > 1:
            given_hint = node.args[1]
        hint = text_of(given_hint) if given_hint else defaults().get(maker, "")
        if maker == "internal":
            continue  # its hint is its own: see below
        if hint is None or message is None or message in WITHOUT_HINT:
            assert given_hint or message in WITHOUT_HINT or message is None, where  # made elsewhere, and checked there
            continue
        assert "`" in hint or "wait for it" in hint or "name a file" in hint or hint == "{}", (where, hint)


def test_it_sees_the_errors() -> None:
    assert len(list(errors())) >= 25
    assert set(defaults()) >= {"_bad", "_refused"}


def shown(result: dict, status: str = "runner_on_failed") -> str:
    """What a user sees of one failed task."""
    report = Report("setup", "linux", log="/home/x/log")
    data = {"task": "Do it", "task_action": "x", "role": "sysbox", "host": "localhost", "res": result}
    for event in (
        {"event": status, "event_data": data},
        {"event": "playbook_on_stats", "event_data": {"failures": {"localhost": 1}, "dark": {}}},
    ):
        for item in events.parse(event):
            report.add(item)
    out = output.console(io.StringIO(), width=80)
    for problem in report.errors:
        output.error(out, problem)
    return out.file.getvalue()


TRACE = 'Traceback (most recent call last):\n  File "/tmp/x.py", line 3, in <module>\nOSError: [Errno 28] No space left on device\n'
SHAME = ("Traceback", "non-zero return code", "MODULE FAILURE", '{"', "{'", "module_stderr")


def test_no_result_of_a_module_shows_json_or_a_traceback() -> None:
    for result, said in [
        ({"msg": "non-zero return code", "rc": 100, "stderr": "E: no such package"}, "E: no such package"),
        (
            {"msg": "MODULE FAILURE\nSee stdout/stderr for the exact error", "module_stderr": TRACE, "rc": 1},
            "No space left",
        ),
        ({"msg": "MODULE FAILURE", "exception": TRACE, "module_stdout": "", "rc": 1}, "exit status 1"),
        ({"msg": f"Task failed: Module failed: {TRACE}", "rc": 1}, "No space left"),
        ({"msg": TRACE}, "No space left"),
        ({"exception": TRACE, "msg": ""}, "failed"),
        ({"msg": {"nested": "thing"}}, "failed"),
        ({"msg": None, "stdout": json.dumps({"failed": True, "msg": "x"})}, "failed"),
        ({}, "failed"),
        ({"results": [{"failed": True, "msg": "non-zero return code", "stderr": "no"}]}, "no"),
    ]:
        text = shown(result)
        assert text.startswith("Error: ")
        assert said in text
        assert " Hint: " in text
        assert not [word for word in SHAME if word in text], text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["msg", "stderr", "stdout", "rc", "exception", "results", "hint", "failure", "module_stderr"]),
        values,
    )
)
def test_whatever_a_module_returns_the_user_gets_an_error_with_a_hint(result: dict) -> None:
    text = shown(result)
    assert text.startswith("Error: ") or result.get("failure") == "gate"
    assert "Traceback" not in text


def test_a_mistake_of_ours_says_where_the_log_is_and_how_to_report_it() -> None:
    report = Report("setup", "linux", log="/var/log/run", return_code=4)
    report.last_error = "ERROR! no such role"
    out = output.console(io.StringIO(), width=80)
    (problem,) = report.errors
    output.error(out, problem)
    text = out.file.getvalue()
    assert problem.code == 70
    for word in (
        "mistake in cai",
        "`cai doctor --bundle cai-bundle.tar.gz`",
        "bug report",
        "Log: /var/log/run",
        "no such role",
    ):
        assert word in text
