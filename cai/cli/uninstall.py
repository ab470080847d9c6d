"""cai uninstall."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cai.cli.common import Request, dry_run_option, finish, perform, run_options
from cai.errors import CaiError, Exit

if TYPE_CHECKING:
    from cai.report import Report


@click.command(
    short_help="Remove exactly what setup made.",
    epilog="""\b
Examples:
  cai uninstall --dry-run      see what would be removed
  cai uninstall                show the plan, ask, and do it
  cai uninstall --yes --purge  no question, and container data too

\b
Exit codes:
  0  removed                4    the target could not be reached
  1  a step failed,         70   a mistake in cai itself
     or you said no         130  interrupted
  2  wrong usage or setting, or no terminal to ask on and no --yes
  3  unsupported or unmet precondition; nothing was changed""",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--purge", is_flag=True, help="Remove images, containers and volumes as well.")
@dry_run_option
@run_options
def uninstall(yes: bool, purge: bool, dry_run: bool, verbose: bool, extra: tuple[str, ...], as_json: bool) -> int:
    """Remove exactly what setup made, and restore what it changed."""
    from cai import output

    variables = {"cai_purge": purge, "cai_yes": True}
    look = Request("uninstall", extra, True, verbose, as_json, variables)
    if dry_run:
        return finish(look, perform(look), output.plan)
    if not yes:
        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise CaiError("There is no terminal to ask on.", hint="run `cai uninstall --yes`", code=Exit.USAGE)
        plan = perform(look)
        code = finish(look, plan, output.plan)
        if code or not plan.actions:
            return code
        _ask(plan, purge)
    request = Request("uninstall", extra, False, verbose, as_json, variables)
    return finish(request, perform(request), output.summary)


def _ask(plan: Report, purge: bool) -> None:
    from cai.text import line

    for text in plan.confirm:
        click.secho(f"  running: {line(text)}", fg="yellow")
    data = (
        "Images, containers and volumes go too."
        if purge
        else "Images, containers and volumes stay; --purge removes them."
    )
    if not click.confirm(f"{data} Remove all this?"):
        raise CaiError("Nothing was removed.", code=Exit.FAILED)
