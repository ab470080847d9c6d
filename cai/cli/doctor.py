"""cai doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cai.cli.common import Request, finish, perform, run_options
from cai.errors import CaiError, Exit

if TYPE_CHECKING:
    from cai.report import Report


@click.command(
    short_help="Report the health of every part.",
    epilog="""\b
Examples:
  cai doctor                         each part, and the command that mends it
  cai doctor --fix                   run what mends, after a question
  cai doctor --issue                 a text to paste into a bug report
  cai doctor --bundle report.tar.gz  a file for a bug report, without secrets
  cai doctor --json | jq '.findings[] | select(.status == "fail")'

\b
Exit codes:
  0  healthy                        3    unsupported platform
  1  something must be mended       70   a mistake in cai itself
  2  wrong usage or setting         130  interrupted""",
)
@click.option("--fix", is_flag=True, help="Mend what can be mended; asks first.")
@click.option("-y", "--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--issue", is_flag=True, help="Print a text for a bug report, without names and secrets.")
@click.option("--bundle", type=click.Path(dir_okay=False, path_type=Path), help="Pack a file for a bug report.")
@run_options
def doctor(
    fix: bool, yes: bool, issue: bool, bundle: Path | None, verbose: bool, extra: tuple[str, ...], as_json: bool
) -> int:
    """Report the health of every part; without --fix it changes nothing and never asks for a password."""
    if issue and (fix or as_json):
        raise CaiError(
            "The option --issue goes with neither --fix nor --json.",
            hint="run `cai doctor --issue`",
            code=Exit.USAGE,
        )
    request = Request("doctor", extra, verbose=verbose, as_json=as_json or issue)
    report = perform(request)
    if fix and report.sick and not report.failures:
        report = _mended(request, report, yes)
    code = _tell_issue(report) if issue else _tell(request, report)
    if bundle:
        from cai.bundle import pack
        from cai.text import line

        pack(bundle, report)
        click.echo(f"Packed {line(str(bundle))}; look into it before you publish it.", err=True)
    return code


def _tell(request: Request, report: Report) -> int:
    from cai import output

    return finish(request, report, output.health)


def _tell_issue(report: Report) -> int:
    from cai.bundle import issue_text

    click.echo(issue_text(report), nl=False)
    return report.exit_code


def _mended(request: Request, report: Report, yes: bool) -> Report:
    """Run setup, which brings every part back to its state, and look again."""
    if not yes:
        if request.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise CaiError("There is no terminal to ask on.", hint="run `cai doctor --fix --yes`", code=Exit.USAGE)
        _tell(request, report)
        if not click.confirm("Run `cai setup`, which mends what it can of this?"):
            raise CaiError("Nothing was changed.", code=Exit.FAILED)
    setup = Request("setup", request.extra, verbose=request.verbose, as_json=request.as_json)
    done = perform(setup)
    if done.exit_code != Exit.OK:
        from cai import output

        for problem in done.errors:
            output.error(output.console(sys.stderr), problem)
    return perform(request)
