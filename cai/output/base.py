"""Consoles, marks, and the pattern of an error."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cai.text import clean, indented, line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cai.errors import CaiError

_ROLES = {"docker_engine": "Docker engine", "docker_context": "Docker context", "lima_vm": "Lima VM"}
# status -> mark on a terminal, word when piped, colour
MARKS = {
    "ok": ("✓", "ok", "green"),
    "changed": ("✓", "changed", "yellow"),
    "failed": ("✗", "failed", "red"),
    "unreachable": ("✗", "unreachable", "red"),
    "ignored": ("!", "ignored", "yellow"),
    "pass": ("✓", "pass", "green"),
    "warn": ("!", "warn", "yellow"),
    "warning": ("!", "warning", "yellow"),
    "fail": ("✗", "fail", "red"),
    "unknown": ("?", "unknown", "cyan"),
}


def console(stream: IO[str], **options: Any) -> Console:
    """Make a console that obeys NO_COLOR and never breaks or truncates a piped line."""
    from rich.console import Console

    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a C locale shows ? where it has no ✓
    # Said here, since rich would also take FORCE_COLOR in a pipe for a terminal to draw on.
    options.setdefault("force_terminal", stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"))
    made = Console(file=stream, highlight=False, markup=False, emoji=False, **options)
    made.soft_wrap = not made.is_terminal
    return made


def styled(text: str, style: str = "", **options: Any) -> Text:
    """Make a text in one style."""
    from rich.text import Text

    return Text(text, style=style, **options)


def component(role: str) -> str:
    """Name a role as users know it."""
    return _ROLES.get(role) or line(role).replace("_", " ").capitalize() or "This machine"


def home(path: str) -> str:
    """Write a path the short way, with ~ for the home folder."""
    folder = str(Path.home())
    return "~" + path[len(folder) :] if folder != "/" and path.startswith(folder + "/") else path


def error(out: Console, problem: CaiError) -> None:
    """Write an error: what was found and needed, the command that mends it, the log."""
    if problem.verbatim:
        out.print(clean(problem.message), soft_wrap=True)
    else:
        label = " Also: " if problem.later else "Error: "
        out.print(
            styled(label, "bold red").append(indented(problem.message, 7), style="not bold default"), soft_wrap=True
        )
    for text in clean(problem.details).splitlines():
        out.print(f"       {text}".rstrip(), soft_wrap=True)
    if problem.hint:
        hint = indented(problem.hint, 7)
        out.print(styled(" Hint: ", "bold cyan").append(hint, style="not bold default"), soft_wrap=True)
    if problem.log and not problem.later:  # it is the same one
        out.print(styled("  Log: ", "bold").append(line(home(problem.log)), style="not bold default"), soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    """Write the one document of --json to stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()
