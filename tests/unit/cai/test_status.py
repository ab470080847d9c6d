"""`cai status`: what docker says, in two rounds of questions, and the containers that are not isolated by name."""

import json
from importlib import resources

import jsonschema
import pytest

from tests.unit.cai.test_engine import context, listener, place  # noqa: F401 - a fixture

SCHEMA = json.loads(resources.files("cai").joinpath("schemas/document.json").read_text())
DOCKER = r"""
shift 2
echo "$*" >> "$HOME/asked"
case "$1" in
  version) [ -e "$HOME/silent" ] && { echo 'request returned 500' >&2; exit 1; }; echo 29.1.3;;
  ps) [ -e "$HOME/empty" ] || echo 'aaa
bbb';;
  inspect) echo '["/web","nginx:1","sysbox-runc","running"]
["/old\u001b[2J","ubuntu:24.04","runc","running"]
no such object';;
esac
"""


@pytest.fixture
def status(sandbox, place, monkeypatch):  # noqa: F811
    """Type cai status; the platform is what the tests run on."""
    sandbox.program("docker", DOCKER)
    sandbox.program("sysbox-runc", "printf 'sysbox-runc\\n\\tedition: Community\\n\\tversion: \\t0.7.1\\n'")
    context(sandbox.home, f"unix://{place.socket}")
    return lambda *words: sandbox.quick("status", *words)


@pytest.fixture
def running(place):  # noqa: F811
    with listener(place.socket):
        yield


def document(done):
    made = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    assert made["exit_code"] == done.returncode
    return made


def test_engine_versions_and_containers(status, running, sandbox):
    made = document(status("--json"))
    assert made["engine"]["state"] == "runs"
    assert (made["engine"]["version"], made["sysbox"]) == ("29.1.3", "0.7.1")
    assert [(item["name"], item["isolated"]) for item in made["containers"]] == [("old\x1b[2J", False), ("web", True)]
    assert made["errors"] == []
    asked = (sandbox.home / "asked").read_text().splitlines()
    assert sorted(line.split()[0] for line in asked) == ["inspect", "ps", "version"]


def test_the_page_names_what_is_not_isolated_and_obeys_no_name(status, running):
    shown = status().stdout
    assert "Docker 29.1.3" in shown
    assert "old\\x1b[2J runs under runc, without Sysbox's isolation" in shown
    assert "web  " in shown
    assert "\x1b[2J" not in shown


def test_an_engine_without_containers(status, running, sandbox):
    (sandbox.home / "empty").touch()
    assert document(status("--json"))["containers"] == []
    assert "Containers  none running" in status().stdout


def test_an_engine_that_gives_no_answer(status, running, sandbox):
    (sandbox.home / "silent").touch()
    made = document(status("--json"))
    assert (made["exit_code"], made["engine"]["state"]) == (1, "silent")
    assert "request returned 500" in made["errors"][0]["message"]


def test_an_engine_that_is_stopped_is_asked_nothing(status, sandbox):
    made = document(status("--json"))
    assert (made["exit_code"], made["engine"]["state"]) == (3, "stopped")
    assert made["errors"][0]["kind"] == "precondition"
    assert not (sandbox.home / "asked").exists()
    assert "Hint: run `" in status().stderr
