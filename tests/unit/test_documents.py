"""What the documents say is so: quoted messages, variables, commands and options exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click

from cai import cli
from cai.cli.docker import Untouched
from scripts import docs

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
TROUBLES = (ROOT / "docs" / "troubleshooting.md").read_text()
# What other programs say; cai only helps with it.
FOREIGN = {
    "permission denied": "the kernel",
    "bind: address already in use": "dockerd",
    'namespace {"time" ""} does not exist': "runc",
    "fusermount3": "AppArmor",
    "Transport endpoint is not connected": "the kernel",
}


def texts() -> str:
    """Every text of the sources, one after another, with {} for what is only known at run time."""
    found = []
    for path in [*ROOT.glob("cai/**/*.py"), *ROOT.glob("roles/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\0".join(found)


def quoted(text: str) -> list[str]:
    """The messages that a text quotes; what other programs say stands between backticks."""
    return re.findall(r'(?<!`)"([^"]+)"(?!`)', text)


def pattern(quote: str) -> str:
    """A quote as it would be found in a message: "..." stands for anything."""
    return "[^\0]*".join(re.escape(part.strip()) for part in quote.split("...") if part.strip())


def test_a_message_of_the_troubleshooting_page_is_one_that_cai_says() -> None:
    said = texts()
    quotes = [quote for row in TROUBLES.splitlines() if row.startswith("| ") for quote in quoted(row.split(" | ")[0])]
    assert len(quotes) >= 60
    assert [quote for quote in quotes if not re.search(pattern(quote), said)] == []


def test_what_other_programs_say_is_marked_by_code_and_known_here() -> None:
    section = TROUBLES.split("## The engine is there, but")[1]
    for quote in FOREIGN:
        assert quote in section, quote


def test_every_command_of_the_documents_is_one() -> None:
    known = {
        name: {text for option in command.params for text in option.opts} for name, command in cli.cli.commands.items()
    }
    for path in DOCUMENTS:
        typed = re.findall(r"(?:`|\$ |&& )(cai [^`|)\n]*)", path.read_text())
        for line in typed:
            words = line.split("#")[0].split()
            name = words[1].strip('".,') if len(words) > 1 else "--help"
            if name.startswith(("-", "command")):
                continue
            assert name in known, line
            if isinstance(cli.cli.commands[name], Untouched):
                continue  # its options are docker's
            options = [word.partition("=")[0].rstrip(".,") for word in words[2:] if re.match(r"--?[a-z]", word)]
            assert set(options) <= known[name] | {"--help", "-h"}, line


def test_every_variable_of_the_documents_is_one() -> None:
    options = {name for role in docs.ORDER for name in docs.options(ROOT / "roles" / role)}
    playbooks = "".join(
        file.read_text() for folder in ("playbooks", "roles") for file in (ROOT / folder).rglob("*.yml")
    )
    for path in DOCUMENTS:
        for name in set(
            re.findall(r"\b((?:cai|sysbox|docker_engine|docker_context|lima_vm)_[a-z0-9_]+)\b", path.read_text())
        ):
            module = any(ROOT.glob(f"roles/*/library/{name}.py")) or (ROOT / "roles" / name).is_dir()
            assert name in options or module or re.search(rf"\b{name}\b", playbooks), (path.name, name)


def test_every_link_leads_to_a_file() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), (path.name, target)


def test_every_exit_code_of_the_readme_is_that_of_the_help() -> None:
    text = (ROOT / "README.md").read_text().split("Exit codes:")[1]
    context = click.Context(cli.cli)
    for code in re.findall(r"(?:^|;)\s*(\d+)\b", text):
        assert re.search(rf"\b{code}\b", cli.cli.get_help(context)), code
