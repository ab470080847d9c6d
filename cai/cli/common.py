"""What the commands that run a playbook share: their options, and the run itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cai import content, paths, platforms, run_lock
from cai.errors import CaiError, Exit
from cai.platforms import Platform

if TYPE_CHECKING:
    from cai.report import Report

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document; progress goes to stderr.")(
        function
    )


def dry_run_option(function: Function) -> Function:
    """Add --dry-run."""
    return click.option(
        "--dry-run", is_flag=True, help="Print the plan with diffs; change nothing, ask for no password."
    )(function)


def run_options(function: Function) -> Function:
    """Add the options of every command that runs a playbook."""
    json_option(function)
    click.option("-v", "--verbose", is_flag=True, help="Stream Ansible's own output.")(function)
    return click.option(
        "-e",
        "--extra-var",
        "extra",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a setting; wins over the settings file.",
    )(function)


@dataclass
class Request:
    """One command as the user gave it."""

    command: str
    extra: tuple[str, ...] = ()
    dry_run: bool = False
    verbose: bool = False
    as_json: bool = False
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def read_only(self) -> bool:
        """Whether the run must leave no trace and needs no root."""
        return self.dry_run or self.command == "doctor"


def supported_platform() -> Platform:
    """Tell the platform, or say why there is no way on."""
    platform = platforms.detect()
    if platform is Platform.WSL1:
        raise CaiError(
            "This distro runs on WSL1, which has no Linux kernel; WSL2 is needed.",
            hint=f"in PowerShell, run `wsl --set-version {os.environ.get('WSL_DISTRO_NAME', '<distro>')} 2`",
            code=Exit.PRECONDITION,
        )
    if not platform.supported:
        raise CaiError(
            f"This is {os.uname().sysname}; cai needs macOS, Linux, or Windows with WSL2.",
            hint="run `cai setup` on one of these machines",
            code=Exit.PRECONDITION,
        )
    return platform


def perform(request: Request) -> Report:
    """Run the command's playbook on this machine, showing progress; return what it amounts to."""
    from cai import config, output, runner

    try:
        platform = supported_platform()
    except CaiError as error:
        if request.command != "doctor" or error.code != Exit.PRECONDITION:
            raise
        return _unsupported(request, error)
    playbook = content.playbook(request.command, platform.value)
    settings = config.gather(config.schema(content.root() / "roles"), paths.config_file(), request.extra)
    out = output.console(sys.stderr if request.as_json else sys.stdout)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(paths.temporary_folder() if request.read_only else run_lock.only_run())
        secret = None if request.read_only or platform is Platform.MACOS else _root()
        variables = {**_own(request, platform), **settings, **request.variables}
        progress = folder / "progress" if out.is_terminal and not request.verbose else None
        if progress:
            variables["cai_progress_file"] = str(progress)
        job = runner.Job(
            request.command, platform.value, playbook, folder, variables,
            check=request.dry_run, keep_log=not request.read_only, verbose=request.verbose, password=secret,
        )  # fmt: skip
        with output.View(out, verbose=request.verbose, brief=request.read_only, progress=progress) as view:
            report = runner.run(job, view.show)
    report.context = _context(variables, platform)
    return report


def _root() -> str | None:
    """Make sure of root's rights, and that root can read what it will run; return the password if sudo needs one."""
    from cai import reach, sudo

    if os.geteuid() == 0:
        return None
    reach.check()
    secret = sudo.password()
    said = sudo.can_run_python(secret)
    if said is not None:
        raise reach.refused(said)
    return secret


def _unsupported(request: Request, error: CaiError) -> Report:
    """Make the health report of a machine for which there is no playbook."""
    from cai import events
    from cai.report import Report

    report = Report(request.command, platforms.detect().value, finished=True)
    report.add(events.Finding("platform", "fail", error.message, error.hint, ""))
    report.add(events.Failure("unsupported", error.message, "", error.hint, "", ""))
    return report


def _context(variables: dict[str, Any], platform: Platform) -> str:
    """Name the docker context of the run; on macOS the VM gives its name to it."""
    vm = variables.get("lima_vm_name") if platform is Platform.MACOS else None
    return str(variables.get("docker_context_name") or vm or "containai-secure")


def _own(request: Request, platform: Platform) -> dict[str, Any]:
    become = os.geteuid() != 0 and not request.read_only
    # On macOS the machine itself needs no root, but the VM's own user becomes root there without a password.
    if platform is Platform.MACOS:
        become = not request.read_only
    user, settings = paths.sudo_user(), os.environ.get("DOCKER_CONFIG", "")
    variables: dict[str, Any] = {"cai_become": become}
    if not request.read_only and platform is not Platform.MACOS:
        variables["cai_run"] = run_lock.this_process()
    if user:
        variables["docker_context_user"] = user
    if settings:  # where this user's docker keeps its contexts; lost under sudo otherwise
        variables["docker_context_config_dir"] = str(Path(settings).absolute())
    return variables


def finish(request: Request, report: Report, page: Callable[[Any, Report], None]) -> int:
    """Write the result and the errors; return the exit code."""
    from cai import output

    if request.as_json:
        output.print_json(report.document())
    elif (
        report.exit_code == Exit.OK
        or (request.command == "doctor" and report.findings)
        or (request.dry_run and report.exit_code == Exit.FAILED)
    ):
        page(output.console(sys.stdout), report)
    errors = output.console(sys.stderr)
    told = {
        item.found.partition("\n")[0] for item in report.findings if request.command == "doctor" and not request.as_json
    }
    for problem in report.errors:
        if problem.message not in told:  # the page above has it already
            output.error(errors, problem)
    return report.exit_code
