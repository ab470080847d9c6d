"""The only module that touches ansible-runner."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cai import config, content, events, paths, processes, sudo
from cai.report import KILLED, Report

Sink = Callable[[events.Item], None]

# What a program on this machine may need; everything else of the caller's environment stays outside,
# above all ANSIBLE_*, DOCKER_HOST and DOCKER_CONTEXT, PYTHON*, and whatever secrets it holds.
KEPT_ENVIRONMENT = re.compile(
    r"(HOME|USER|LOGNAME|SHELL|PATH|TERM|TZ|TMPDIR|LIMA_[A-Z_]+|QEMU_SYSTEM_[A-Z0-9_]+|HOMEBREW_[A-Z_]+|DOCKER_CONFIG|XDG_[A-Z_]+"
    r"|SSL_CERT_(FILE|DIR)|SSH_AUTH_SOCK|SUDO_(USER|UID|GID)|WSL[A-Z_]*|((http|https|ftp|all|no)_proxy))",
)
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}
_PROMPT = r"BECOME password.*:\s*?$"
# A password may hold @ and /: up to the last @ of the word. What is no secret may be hidden with it.
_CREDENTIALS = re.compile(r"(://|_proxy['\"]?\s*[=:]\s*['\"]?)[^\s'\"]+@", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One run of one playbook."""

    command: str
    platform: str
    playbook: Path
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    check: bool = False
    keep_log: bool = True
    verbose: bool = False
    password: str | None = field(default=None, repr=False)


def run(job: Job, sink: Sink) -> Report:
    """Run a playbook, hand each item to the sink as it comes, and return what the run amounts to."""
    report = Report(job.command, job.platform, job.check, str(job.folder / "stdout") if job.keep_log else "")

    def handle(event: Any) -> bool:
        for item in events.parse(event):
            report.add(item)
            sink(item)
        return False  # no event file

    started = time.monotonic()
    with _interrupts() as interrupted, paths.temporary_folder() as scratch:

        def as_root(pids: list[int]) -> None:
            sudo.end(pids, job.password)

        def cancelled() -> bool:
            if interrupted:
                processes.end_all(os.getpid(), as_root)
                # Not `return True`: ansible-runner would then wait for any process that still holds the terminal.
                raise KeyboardInterrupt
            return False

        runner = _prepare(job, scratch, handle, cancelled)
        try:
            runner.run()
        except KeyboardInterrupt:
            report.interrupted = True
        report.return_code = KILLED if runner.rc is None else runner.rc
        if report.return_code == KILLED and not report.interrupted:
            processes.end_orphans(str(scratch), as_root)
    report.seconds = time.monotonic() - started
    _tidy(job.folder)
    return report


def _prepare(job: Job, scratch: Path, handle: Callable[[Any], bool], cancelled: Callable[[], bool]) -> Any:
    """Make ansible-runner's object and replace what it would take from the caller's surroundings."""
    from ansible_runner.interface import init_runner
    from ansible_runner.utils import get_callback_dir

    runner = init_runner(
        private_data_dir=str(job.folder),
        artifact_dir=str(job.folder.parent),
        ident=job.folder.name,
        playbook=str(job.playbook),
        inventory=str(content.root() / "inventory" / "localhost.yml"),
        cmdline=shlex.join(_arguments(job, scratch)),
        passwords={_PROMPT: job.password} if job.password else {},
        event_handler=handle,
        cancel_callback=cancelled,
        suppress_env_files=True,
        quiet=True,
        fact_cache_type="memory",
    )
    runner.config.env = {
        **_environment(),
        **_own_variables(scratch),
        **({"ANSIBLE_BECOME_EXE": sudo.program()} if job.password else {}),
        "ANSIBLE_CALLBACK_PLUGINS": str(get_callback_dir()),
        "ANSIBLE_STDOUT_CALLBACK": "awx_display",
        "AWX_ISOLATED_DATA_DIR": runner.config.artifact_dir,
    }
    # Seconds between two looks at Ctrl-C. As a setting it would be lost: ansible-runner reads that from a file only.
    runner.config.pexpect_timeout = 0.2
    runner.config.cwd = str(content.root())
    # By its interpreter: under pipx the script is on no PATH, and a foreign one might be.
    # -P: without the working directory in front of Ansible's own modules.
    runner.config.command[0:1] = [sys.executable, "-P", "-m", "ansible", "playbook"]
    return runner


def _arguments(job: Job, scratch: Path) -> list[str]:
    variables = scratch / "variables.yml"
    variables.touch(mode=0o600)
    variables.write_text(config.dump(job.variables), encoding="utf-8")
    arguments = ["-e", f"@{variables}"]
    arguments += ["--check", "--diff"] if job.check else []
    arguments += ["--ask-become-pass"] if job.password else []
    return arguments + (["-v"] if job.verbose else [])


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if KEPT_ENVIRONMENT.fullmatch(name) or name in _PROXIES}
    # Root runs the system's programs only, whatever PATH it was given (`su`, a sudo without secure_path).
    path = kept.get("PATH", os.defpath) if os.geteuid() else paths.SYSTEM_PATH
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    kept["HOME"] = str(paths.home())
    return kept


def _own_variables(scratch: Path) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(content.root() / "ansible.cfg"),
        # Everything is in ansible.builtin and in the roles.
        "ANSIBLE_COLLECTIONS_PATH": str(scratch / "collections"),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "False",
        "ANSIBLE_HOME": str(scratch / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(scratch / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch / "ssh"),
        "CAI_TMP": str(scratch / "remote"),
        "LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        # What a killed process leaves goes with the folder. Not on macOS: the VM's processes outlive the run.
        **({} if sys.platform == "darwin" else {"TMPDIR": str(scratch)}),
    }


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Turn Ctrl-C and its kin into a list that ansible-runner's loop looks at five times a second."""
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _frame: seen.append(number)) for number in numbers}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            # After one, all that is left to do is to end: another must not interrupt the clean-up.
            signal.signal(number, signal.SIG_IGN if seen else handler)


def _tidy(folder: Path) -> None:
    """Keep the log alone, without the credentials that an address may carry."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "stdout":
            path.unlink(missing_ok=True)
    log = folder / "stdout"
    if log.exists():
        text = log.read_text(encoding="utf-8", errors="replace")
        if _CREDENTIALS.search(text):
            log.write_text(_CREDENTIALS.sub(r"\1***@", text), encoding="utf-8")
