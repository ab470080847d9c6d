"""The documents of --json keep the promise of their published schema."""

import json
from importlib import resources

import jsonschema
import pytest

from cai import events
from cai.errors import CaiError, Exit
from cai.report import Report, error_report

RESULTS = ["setup", "doctor", "uninstall"]


SCHEMA = json.loads(resources.files("cai").joinpath("schemas/document.json").read_text())


def valid(document):
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


def test_the_schema_is_a_schema_and_strict():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    objects = [part for part in [*SCHEMA["oneOf"], *SCHEMA["$defs"].values()] if part.get("type") == "object"]
    assert len(objects) == 12
    for part in objects:
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])


@pytest.mark.parametrize("command", RESULTS)
@pytest.mark.parametrize("interrupted", [False, True])
def test_every_kind_of_content_fits(command, interrupted):
    report = Report(command, "wsl2", True, "/log", 1.23, interrupted)
    for item in (
        events.Step("changed", "a", "sysbox", "localhost", 0.1234),
        events.Step("skipped", "b"),
        events.Step("ignored", "c"),
        events.Action("create", "x"),
        events.Diff("a", "b", "1", "2"),
        events.Gate("conflict", "x"),
        events.Finding("part", "unknown", "x"),
        events.Notice("warning", "w"),
        events.Notice("note", "n"),
        events.Failure("failed", "m", "d", "h", host="localhost"),
        events.Stats(("localhost",), (), 1, 1),
    ):
        report.add(item)
    document = valid(json.loads(json.dumps(report.document())))
    assert document["exit_code"] == (130 if interrupted else 1)
    assert [step["name"] for step in document.get("steps", [])] in ([], ["a", "c"])


@pytest.mark.parametrize("command", RESULTS)
def test_an_end_before_any_result_fits_too(command):
    document = valid(error_report(command, CaiError("m", hint="h", code=Exit.USAGE)))
    assert document["errors"] == [
        {"kind": "usage", "message": "m", "details": "", "hint": "h", "host": "", "step": "", "log": None}
    ]


def test_an_error_tells_where_it_happened():
    report = Report("setup", "wsl2", log="/log")
    for item in (
        events.Failure("failed", "m", "d", "h", "Do it", "localhost"),
        events.Failure("failed", "n", "", "i", "Check it", "localhost"),
        events.Stats(("localhost",), (), 1, 1),
    ):
        report.add(item)
    first, later = valid(json.loads(json.dumps(report.document())))["errors"]
    assert first == {
        "kind": "failed", "message": "m", "details": "d", "hint": "h", "host": "localhost", "step": "Do it", "log": "/log",
    }  # fmt: skip
    assert (later["message"], later["step"]) == ("n", "Check it")


@pytest.mark.parametrize("code", [code for code in Exit if code])
def test_every_end_is_a_kind_of_the_schema(code):
    valid(error_report("setup", CaiError("m", code=code)))


def test_stdout_is_one_document_and_progress_is_on_stderr(sandbox):
    done = sandbox.quick("setup", "--json")
    document = valid(json.loads(done.stdout))
    assert document["ok"]
    assert document["exit_code"] == done.returncode == 0
    assert document["steps"][0]["name"] == "Look at the machine"
    assert "Look at the machine" in done.stderr


def test_doctor_is_healthy_unless_something_must_be_mended(sandbox, photograph):
    before = photograph(sandbox.home)
    for status, code in (("pass", 0), ("warn", 0), ("unknown", 0), ("fail", 1)):
        finding = {"part": "Engine", "status": status, "found": "it is so", "hint": "run it"}
        sandbox.tasks(f"- name: Look\n  pretend: {{result: {{findings: [{json.dumps(finding)}]}}}}\n", "doctor")
        done = sandbox.quick("doctor", "--json")
        document = valid(json.loads(done.stdout))
        assert document["exit_code"] == done.returncode == code, status
        assert document["findings"] == [{**finding, "host": "localhost"}]
    assert photograph(sandbox.home) == before


def test_wrong_usage_and_a_wrong_setting_are_documents_too(sandbox):
    for words, field, said in (
        (("-e", "stub_txt=1"), "hint", "did you mean `stub_text`"),
        (("--nonsense",), "message", "--nonsense"),
    ):
        done = sandbox.quick("setup", "--json", *words)
        assert done.returncode == 2
        assert said in valid(json.loads(done.stdout))["errors"][0][field]
