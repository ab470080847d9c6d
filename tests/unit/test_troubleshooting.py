"""The troubleshooting page groups what a role or the command can say: each place that makes messages has its groups, each exit code its way there."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

from cai.errors import Exit
from tests.unit.cai import test_messages as command
from tests.unit.roles import test_contract as roles
from tests.unit.test_documents import TROUBLES, pattern, quoted

RAISED = roles.RAISED
# A mistake in cai itself, for which there is a bug report; an answer to the user's own "no".
ELSEWHERE = {"Interrupted.", "Nothing was removed."}
GROUP = re.compile(r"<!-- messages of: (.*) -->\n")


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
    """Every message, with the file that makes it; {} for what is only known at run time."""
    for path in roles.SOURCES:
        for node, names in roles.calls(path):
            if text := roles.text_of(told(node, names), dict(names)):
                yield path.stem, text
    for where, node in command.errors():
        if text := command.text_of(node.args[0]):
            yield where.partition(".")[0], text


@functools.cache
def places() -> dict[str, list[str]]:
    """File: the messages that it makes, without those that another file has put together."""
    found: dict[str, list[str]] = {}
    for where, text in said():
        if re.search("[A-Za-z]{3}", text) and text not in ELSEWHERE:
            found.setdefault(where, []).append(text)
    return found


def groups() -> dict[str, tuple[list[str], str]]:
    """Heading: the files whose messages it groups, and its text."""
    found = {}
    for part in re.split(r"^##+ ", TROUBLES, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if named := GROUP.match(text):
            found[title] = named[1].split(", "), text
    return found


def test_every_place_that_makes_messages_has_a_group() -> None:
    grouped = {name for names, _ in groups().values() for name in names}
    missing = set(places()) - grouped
    assert not missing, f"add to the right group of docs/troubleshooting.md (`messages of:`): {sorted(missing)}"


def test_every_group_has_places_that_make_messages_and_an_example_of_theirs() -> None:
    made = places()
    assert len(groups()) >= 12
    for title, (names, text) in groups().items():
        assert set(names) <= set(made), (title, set(names) - set(made))
        own = "\n".join(message for name in names for message in made[name])
        assert any(re.search(pattern(quote), own) for quote in quoted(text)), f"{title} quotes none of its messages"


def test_every_exit_code_leads_to_a_group() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| .* \| (.*) \|$", TROUBLES, re.MULTILINE))
    assert set(rows) == {str(int(code)) for code in Exit if code}
    headings = {
        re.sub(r"[^\w -]", "", found).lower().replace(" ", "-")
        for found in re.findall(r"^##+ (.*)$", TROUBLES, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]*)\)", TROUBLES):
        assert anchor in headings, anchor


def test_a_refused_setting_of_a_daemon_json_is_named() -> None:
    """These are not messages: a user has to know which settings cannot stand there."""
    from ansible.module_utils.containai.daemon_json import BREAKING, UNIT_FLAGS

    for key in (*UNIT_FLAGS, *(key for key, _, _ in BREAKING), "dns"):
        assert f"`{key}`" in TROUBLES or f"`{key}: false`" in TROUBLES, key


def test_it_sees_the_messages() -> None:
    made = places()
    assert sum(map(len, made.values())) >= 110
    assert set(made) >= {"sudo", "config", "containai_host", "containai_lima_settings"}
