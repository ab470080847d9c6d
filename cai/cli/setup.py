"""cai setup."""

import click

from cai.cli.common import Request, dry_run_option, finish, perform, run_options


@click.command(
    epilog="""\b
Examples:
  cai setup --dry-run                see the plan; changes nothing
  cai setup                          do it, and verify that it works
  cai setup --force                  go on at a seccomp conflict (WSL2)
  cai setup -e sysbox_version=0.7.1  with a setting

\b
Settings also stand in ~/.config/containai/config.yml.
-e wins over the file, the file over the defaults.

\b
Exit codes:
  0  done and verified      4    the target could not be reached
  1  stopped by the gate,   70   a mistake in cai itself
     or a step failed       130  interrupted
  2  wrong usage or setting
  3  unsupported or unmet precondition; nothing was changed"""
)
@click.option("--force", is_flag=True, help="Go on at a known seccomp conflict (WSL2).")
@dry_run_option
@run_options
def setup(force: bool, dry_run: bool, verbose: bool, extra: tuple[str, ...], as_json: bool) -> int:
    """Set up the secure engine on this machine, and verify it."""
    from cai import output

    request = Request("setup", extra, dry_run, verbose, as_json, {"cai_force": force})
    return finish(request, perform(request), output.plan if dry_run else output.summary)
