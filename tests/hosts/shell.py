"""Running commands: an argument list in, text out, a readable error when one fails."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


class HostError(Exception):
    """Something the test hosts need is missing or failed; the text says what to do."""


def say(text: str) -> None:
    """Report progress on stderr (stdout is for results)."""
    print(text, file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output; a failure raises HostError with the end of that output."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **env} if env else None,
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"`{' '.join(command)}` did not end within {timeout:.0f} s") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise HostError(f"`{' '.join(command)}` exited {done.returncode}:\n{tail}")
    return done


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60, pause: float = 0.1) -> float:
    """Wait until the condition holds; returns the seconds it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            raise HostError(f"waited {timeout:.0f} s for {what}")
        time.sleep(pause)
    return time.monotonic() - start


def soonest(limit: float, attempt: Callable[[], float]) -> float:
    """The shortest of up to three attempts, in seconds: what waits too long does so each time, a busy machine only now and then."""
    took = attempt()
    for _ in range(2):
        if took >= limit:
            took = min(took, attempt())
    return took


@contextlib.contextmanager
def alone_with_apt() -> Iterator[None]:
    """One test process at a time, of all checkouts: hosts start side by side, and each may miss the same package."""
    with Path("/run/lock/cai-test-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def apt_install(*packages: str) -> None:
    """Install what is missing on this machine, without starting any service it brings.

    A service is started by `policy-rc.d` denial only where systemd runs; the denial is taken away afterwards.
    """
    if os.geteuid() != 0:
        raise HostError(
            f"needed on this machine: {' '.join(packages)}\n hint: run `apt-get install {' '.join(packages)}`"
        )
    say(f"installing {' '.join(packages)} with apt")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]  # for whoever else is at it
    install = ["apt-get", *wait, "install", "-y", "-q", "--no-install-recommends", *packages]
    with alone_with_apt(), _services_stay_off():
        if run(install, check=False, env=env).returncode != 0:
            run(["apt-get", *wait, "update", "-q"], env=env)
            run(install, env=env)


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    mine = not policy.exists()
    if mine:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if mine:
            policy.unlink()
