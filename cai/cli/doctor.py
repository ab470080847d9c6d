"""cai doctor."""

from pathlib import Path

import click

from cai.cli.common import Request, finish, perform, run_options


@click.command(
    short_help="Report the health of every part.",
    epilog="""\b
Examples:
  cai doctor                         each part, and the command that mends it
  cai doctor --bundle report.tar.gz  a file for a bug report, without secrets
  cai doctor --json | jq '.findings[] | select(.status == "fail")'

\b
Exit codes:
  0  healthy                        3    unsupported platform
  1  something must be mended       70   a mistake in cai itself
  2  wrong usage or setting         130  interrupted""",
)
@click.option("--bundle", type=click.Path(dir_okay=False, path_type=Path), help="Pack a file for a bug report.")
@run_options
def doctor(bundle: Path | None, verbose: bool, extra: tuple[str, ...], as_json: bool) -> int:
    """Report the health of every part; changes nothing and never asks for a password."""
    from cai import output

    request = Request("doctor", extra, verbose=verbose, as_json=as_json)
    report = perform(request)
    code = finish(request, report, output.health)
    if bundle:
        from cai.bundle import pack
        from cai.text import line

        pack(bundle, report)
        click.echo(f"Packed {line(str(bundle))}; look into it before you publish it.", err=True)
    return code
