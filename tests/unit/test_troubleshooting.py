"""Whatever a role or the command can say when it stops, or leaves something, has its line on the troubleshooting page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cai import test_messages as command
from tests.unit.roles import test_contract as roles
from tests.unit.test_documents import TROUBLES, quotes

RAISED = {*roles.RAISED, "SettingError"}
# Said while somebody sits there and knows why; or a text that is put together from others, which are here themselves.
ELSEWHERE = {"Nothing was removed.", "Interrupted.", "{}", "{}: {}", "{} {}"}
# Less fixed text than this is no key to look for.
SHORTEST = 7


def told(node: ast.Call, names: dict[str, ast.AST]) -> ast.AST | None:
    """The message that a call of a role's code makes, if it makes one."""
    name = roles.called(node)
    if name == "fail_json":
        return next((keyword.value for keyword in node.keywords if keyword.arg == "msg"), None)
    # A note or a warning is the only argument.
    noted = name == "append" and ast.unparse(node.func).endswith("notes.append")
    if not node.args or not (name in RAISED or name == "warn" or noted):
        return None
    first = isinstance(node.args[0], ast.Name) and node.args[0].id == "module"
    return node.args[1] if first else node.args[0]


def said() -> Iterator[tuple[str, str]]:
    """Every message with where it is made: its first line, with {} for what is only known at run time."""
    for path in roles.SOURCES:
        for node, names in roles.calls(path):
            text = roles.text_of(told(node, names), dict(names))
            yield path.stem, text or "{}"
    for where, node in command.errors():
        text = command.text_of(node.args[0]) or "{}"
        yield where.partition(":")[0], re.sub(r"([a-z. ]*) / .*", r"\1", text)


def messages() -> dict[str, str]:
    """Message: where it is made; once each."""
    return {first: where for where, text in said() if (first := text.partition("\n")[0].strip()) not in ELSEWHERE}


def is_kind(quote: str, message: str) -> bool:
    """Whether a quote of the page ("..." stands for anything) is found in a message."""
    parts = [re.escape(part.strip()) for part in quote.split("...")]
    return len("".join(quote.split("..."))) >= SHORTEST and bool(re.search(".*".join(parts), message, re.DOTALL))


@pytest.mark.parametrize(("message", "where"), messages().items(), ids=[f"{w}-{m[:40]}" for m, w in messages().items()])
def test_a_message_is_on_the_troubleshooting_page(message: str, where: str) -> None:
    assert any(is_kind(quote, message) for quote in quotes()), f"docs/troubleshooting.md has no row for {message!r}"


def test_the_test_above_sees_something() -> None:
    found = messages()
    assert len(found) >= 110
    assert {Path(path).stem for path in found.values()} >= {
        "sudo",
        "config",
        "docker_engine_host",
        "containai_lima_settings",
    }
    assert not any(is_kind(quote, "The moon is made of cheese.") for quote in quotes())


def keys() -> list[str]:
    """The settings of a daemon.json with which the engine could not run."""
    from ansible.module_utils.containai_daemon_json import BREAKING, UNIT_FLAGS

    return [*UNIT_FLAGS, *(key for key, _, _ in BREAKING), "dns"]


@pytest.mark.parametrize("key", keys())
def test_a_refused_setting_of_a_daemon_json_is_named(key: str) -> None:
    assert f"`{key}`" in TROUBLES or f"`{key}: false`" in TROUBLES
