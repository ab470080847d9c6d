"""Write the manual pages of `cai` from the same texts as --help."""

from __future__ import annotations

import re

import click

from cai import __version__, cli

_SPECIAL = str.maketrans({"\\": r"\e", "-": r"\-"})


def pages() -> dict[str, str]:
    """Return every manual page by its file's name."""
    made = {"cai.1": page("cai", cli.cli, "A secure container engine beside the one you have.")}
    for name, command in sorted(cli.cli.commands.items()):
        made[f"cai-{name}.1"] = page(f"cai {name}", command, command.get_short_help_str(200))
    return made


def page(name: str, command: click.Command, about: str) -> str:
    """Return one page in man's own language."""
    # As on a command line, a command takes over from `cai` how its help is asked for. click keeps the option that it
    # made first, so another context would make another page after a run in the same process.
    above = None if command is cli.cli else click.Context(cli.cli, **cli.cli.context_settings)
    context = click.Context(command, parent=above, info_name=name.split()[-1], **command.context_settings)
    usage = " ".join(command.collect_usage_pieces(context))
    dashed = name.replace(" ", "-")
    parts = [
        f'.TH "{dashed.upper()}" "1" "" "cai {__version__}" "cai"',
        f".SH NAME\n{text(dashed)} {text('-')} {text(about.rstrip('.'))}",
        f".SH SYNOPSIS\n.B {text(name)}\n{text(usage)}",
        f".SH DESCRIPTION\n{blocks(command.help or '')}",
        f".SH OPTIONS\n{options(command, context)}",
    ]
    if isinstance(command, click.Group):
        listed = (
            f".TP\n.B cai\\-{item}(1)\n{text(one.get_short_help_str(200))}" for item, one in command.commands.items()
        )
        parts.append(".SH COMMANDS\n" + "\n".join(sorted(listed)))
    else:
        parts.append(blocks(command.epilog or ""))
        parts.append(".SH SEE ALSO\n.BR cai (1)")
    return "\n".join(part.rstrip() for part in parts if part) + "\n"


def options(command: click.Command, context: click.Context) -> str:
    """Return a command's options, each with its help."""
    chosen = (param for param in command.get_params(context) if isinstance(param, click.Option))
    records = [param.get_help_record(context) for param in chosen]
    return "\n".join(f".TP\n.B {text(record[0])}\n{text(record[1])}" for record in records if record)


def blocks(help_text: str) -> str:
    """Return paragraphs; what click leaves as it is stays so here, below a heading of its own."""
    made = []
    for part in re.split(r"\n\s*\n", re.sub(r"(?m)^ +(?=\x08)", "", help_text).strip("\n")):
        rows = part.strip("\n").splitlines()
        if rows and rows[0].strip() == "\b":
            made.append(_as_it_is(rows[1:]))
        elif rows:
            made.append(".PP\n" + text(" ".join(row.strip() for row in rows)))
    return "\n".join(made)


def _as_it_is(rows: list[str]) -> str:
    title = ""
    if rows and re.fullmatch(r"(Examples?|Exit codes):", rows[0].strip()):
        title, rows = f".SH {rows[0].strip(' :').upper()}\n", rows[1:]
    elif rows and rows[0].startswith("Exit codes: "):
        title, rows = ".SH EXIT CODES\n", [rows[0].removeprefix("Exit codes: "), *rows[1:]]
    return f"{title}.nf\n" + "\n".join(text(row) for row in rows) + "\n.fi"


def text(raw: str) -> str:
    """Return a text that man does not take for its own language."""
    made = raw.translate(_SPECIAL)
    return f"\\&{made}" if made.startswith((".", "'")) else made
