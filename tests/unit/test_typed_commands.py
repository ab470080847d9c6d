"""What a hint, a help text or a document tells to type is taken by the real parser: the command, its options, each setting's name and type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from cai import cli, config
from cai.arguments import with_runtime
from cai.cli.docker import Untouched
from tests.unit.test_documents import DOCUMENTS, ROOT, texts

SETTINGS = config.schema(ROOT / "roles")
# In backquotes, after a prompt, or on a line of its own; in a help text two spaces separate a command from its meaning.
TYPED = re.compile(r"`((?:cai|-e) [^`]*)`|(?:^\$ |&& )(cai .*)|^ *(cai (?:setup|doctor|uninstall)\b.*)", re.MULTILINE)
# Of plain `ansible-playbook`: what a playbook or Ansible itself reads.
PLAYBOOKS = re.compile(
    r"-e (cai_(force|become|purge|yes|serial|max_fail_percentage|report_dir|windows_\w+)|ansible_python_interpreter)="
)
STANDS_FOR_A_VALUE = re.compile(r"[A-Z]+|\.\.\.")


def commands(text: str) -> Iterator[str]:
    for found in TYPED.finditer(text):
        line = re.split(r"  |\s#|\s&&|\s\||;", next(filter(None, found.groups())).strip())[0]
        if not PLAYBOOKS.search(line):
            yield f"cai setup {line}" if line.startswith("-e") else line


def everywhere() -> list[str]:
    sources = [*texts().split("\0"), *(path.read_text() for path in DOCUMENTS)]
    return sorted({line for text in sources for line in commands(text)})


def given(line: str) -> tuple[str, ...]:
    """Parse a line as a shell and click do; return its -e options."""
    words = shlex.split(line)[1:]
    if not words or words[0].startswith("-") or words[0] in ("{}", "command"):
        return ()
    command = cli.cli.commands[words[0].rstrip(".,")]
    if isinstance(command, Untouched):
        with_runtime([*command.words, *words[1:]])
        return ()
    with click.Context(click.Command("cai")) as parent, command.make_context(words[0], words[1:], parent) as context:
        return tuple(context.params.get("extra", ()))


@pytest.mark.parametrize("line", everywhere())
def test_a_command_that_is_told_is_one_that_cai_takes(line: str) -> None:
    for item in given(line):
        name, equals, value = item.partition("=")
        if name == "NAME":
            continue
        assert equals, item
        assert name in SETTINGS, item
        if not STANDS_FOR_A_VALUE.fullmatch(value):
            config.from_command_line(SETTINGS, (item,))


def test_the_test_above_sees_something() -> None:
    lines = everywhere()
    assert len(lines) >= 40
    assert sum(bool(given(line)) for line in lines) >= 15
    for line in (
        "cai setup -e '{\"sysbox_sha256\": {}}'",
        "cai setup -e nonsense=1",
        "cai setup -e sysbox_downgrade=perhaps",
    ):
        with pytest.raises((AssertionError, config.CaiError)):
            test_a_command_that_is_told_is_one_that_cai_takes(line)
