"""cai run and cai docker: the docker CLI, for the secure engine."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

_CODES = """\b
Exit codes: those of docker (125 docker failed, 126 and 127 the command could
not be run, else the command's own); 2 refused, 3 no engine."""


class Untouched(click.Command):
    """A command whose words are docker's: nothing but a first --help is read here."""

    words: tuple[str, ...] = ()  # that stand before the user's

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep every word as it is."""
        if args[:1] == ["--help"] and not ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        ctx.params["arguments"] = tuple(args)
        return []

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Hand the question on to docker."""
        return _complete([*self.words, *ctx.params.get("arguments", ())], incomplete)


class UntouchedRun(Untouched):
    """The words of `docker run`."""

    words = ("run",)


def _ask(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return context.command.shell_complete(context, incomplete)


def _complete(words: list[str], incomplete: str) -> list[CompletionItem]:
    """Ask docker's own completion, which knows containers, images and contexts; it may take a second."""
    import subprocess

    from cai import engine
    from cai.errors import CaiError

    try:
        argv = engine.command(engine.find(), ["__complete", *words, incomplete])
        said = subprocess.run(argv, capture_output=True, text=True, timeout=3, check=False, env=engine.environment())
    except (CaiError, OSError, subprocess.TimeoutExpired):
        return []
    rows = [row.partition("\t") for row in said.stdout.splitlines() if row and not row.startswith(":")]
    return [CompletionItem(value, help=text or None) for value, _, text in rows if value.startswith(incomplete)]


def _hand_over(words: list[str]) -> None:
    from cai import arguments, engine
    from cai.errors import CaiError

    try:
        chosen = arguments.with_runtime(words)
    except CaiError as error:
        error.hint = error.hint.replace("'{}'", engine.find().context)
        raise
    engine.become(engine.command(engine.usable(), chosen))


_SETTINGS: dict[str, Any] = {"help_option_names": ["--help"]}


@click.command(
    cls=UntouchedRun,
    context_settings=_SETTINGS,
    short_help="Run a container in isolation.",
    options_metavar="[DOCKER RUN OPTIONS]",
    epilog=f"""\b
Examples:
  cai run -it --rm ubuntu:24.04            a shell
  cai run --rm -v "$PWD:/w" -w /w python:3 python test.py
  cai run -d --name web -p 127.0.0.1:8080:80 nginx

{_CODES}""",
)
@click.argument("arguments", nargs=-1, metavar="IMAGE [COMMAND]", type=click.UNPROCESSED, shell_complete=_ask)
def run(arguments: tuple[str, ...]) -> None:
    """Run a container under Sysbox: docker run, in the secure engine, with --runtime=sysbox-runc."""
    _hand_over(["run", *arguments])


@click.command(
    cls=Untouched,
    context_settings=_SETTINGS,
    short_help="Run any docker command in the secure engine.",
    options_metavar="",
    epilog=f"""\b
Examples:
  cai docker ps
  cai docker compose up -d
  cai docker create --name box ubuntu:24.04   gets --runtime=sysbox-runc

{_CODES}""",
)
@click.argument("arguments", nargs=-1, metavar="COMMAND", type=click.UNPROCESSED, shell_complete=_ask)
def docker(arguments: tuple[str, ...]) -> None:
    """Run a docker command in the secure engine; run and create get --runtime=sysbox-runc."""
    _hand_over(list(arguments))
