"""The command line: one file a command, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys

import click

from cai import __version__
from cai.cli.completion import completion
from cai.cli.docker import docker
from cai.cli.docker import run as run_container
from cai.cli.doctor import doctor
from cai.cli.path import path
from cai.cli.setup import setup
from cai.cli.status import status
from cai.cli.uninstall import uninstall
from cai.errors import CaiError, Exit, no_room

HELP = """Set up a secure container engine, Docker with Sysbox, beside Docker Desktop and never in its way.

\b
Examples:
  cai setup --dry-run        see what would be done; changes nothing
  cai setup                  do it, and verify that it works
  cai run -it ubuntu:24.04   a container in isolation
  cai status                 the engine and its containers
  cai doctor                 is it healthy, and what mends what is not

\b
Exit codes:
  0    done and verified          4    the target could not be reached
  1    a step or check failed     70   a mistake in cai itself
  2    wrong usage or setting     130  interrupted
  3    unsupported or unmet precondition; nothing was changed
"""


START = """A second Docker engine, in which containers run in real isolation (Sysbox), beside the Docker you have.

  cai setup --dry-run        see what would be done; changes nothing
  cai setup                  do it, and verify that it works
  cai run -it ubuntu:24.04   a shell in an isolated container
  cai status                 the engine and its containers
  cai --help                 everything else
"""


@click.group(
    help=HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cai")
@click.pass_context
def cli(context: click.Context) -> None:
    """Hold the commands; alone, show the first ones to type."""
    if context.invoked_subcommand is None:
        click.echo(START, nl=False)


for command in (setup, run_container, docker, status, doctor, uninstall, path, completion):
    cli.add_command(command)
# The commands that have a --json of their own; everything after `run` and `docker` is docker's.
_WITH_JSON = ("setup", "doctor", "uninstall", "status")


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; nothing but this code and messages leaves cai."""
    try:
        result = cli.main(args=arguments, prog_name="cai", standalone_mode=False)
        return result if isinstance(result, int) else Exit.OK
    except click.ClickException as error:
        return _misused(arguments, error)
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\nInterrupted.\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`cai path | head -0`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: never a traceback
        return _failed(arguments, error)


def _wants_json(arguments: list[str]) -> bool:
    return arguments[:1] != [] and arguments[0] in _WITH_JSON and "--json" in arguments


def _misused(arguments: list[str], error: click.ClickException) -> int:
    if _wants_json(arguments):
        from cai import output, report

        output.print_json(report.error_report(arguments[0], CaiError(error.format_message(), code=Exit.USAGE)))
    from cai.text import line

    # It quotes what was typed, or what a shell's * stood for.
    shown = click.UsageError(line(error.format_message()), getattr(error, "ctx", None))
    shown.show()
    return error.exit_code


def _failed(arguments: list[str], error: Exception) -> int:
    from cai import output, report

    if not isinstance(error, CaiError):
        error = no_room(error) or report.internal(f"{type(error).__name__}: {error}", _crash_log(arguments))
    if _wants_json(arguments):
        output.print_json(report.error_report(arguments[0], error))
    output.error(output.console(sys.stderr), error)
    return error.code


def _crash_log(arguments: list[str]) -> str:
    """Keep the traceback where a bug report finds it, but nowhere after a dry run."""
    import traceback

    from cai import paths

    if "--dry-run" in arguments or arguments[:1] in (["doctor"], ["status"]):
        return ""
    try:
        log = paths.new_folder() / "stdout"
        log.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, CaiError):
        return ""
    return str(log)
