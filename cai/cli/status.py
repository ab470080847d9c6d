"""cai status."""

import sys

import click

from cai.cli.common import json_option, supported_platform


@click.command(
    short_help="Show the engine, its versions and its containers.",
    epilog="""\b
Examples:
  cai status
  cai status --json | jq '.containers[] | select(.isolated | not)'

\b
Exit codes:
  0  the engine runs                3    no engine, or one that is stopped
  1  the engine gives no answer     70   a mistake in cai itself
  2  wrong usage                    130  interrupted""",
)
@json_option
def status(as_json: bool) -> int:
    """Show the engine, its versions and its containers; names those that do not run under Sysbox."""
    from cai import output
    from cai import status as state

    found = state.look(supported_platform().value)
    if as_json:
        output.print_json(state.document(found))
    else:
        output.status(output.console(sys.stdout), found)
    errors = output.console(sys.stderr)
    for problem in found.errors:
        output.error(errors, problem)
    return found.exit_code
