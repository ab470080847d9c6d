"""The whole test session: runs every part, goes on after a failure, and ends with what passed, failed and was not run.

usage: python -m tests.hosts.session [PART...]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import audit, engine, paths
from .shell import HostError

_BIN = Path(sys.executable).parent
_MODULES = ["tests/hosts/*.py", "tests/hosts/doubles/*.py"]


# What a part could not do here, and why.
_UNANSWERED: list[tuple[str, str]] = []
# What the tools of the part at work have printed.
_PRINTED: list[str] = []
_TROUBLE = re.compile(r"fatal: \[|^(FAILED|ERROR|E) |CRITICAL|violation:|^Error: |^BAD  |^These fail")
_AROUND = 12
_SHOWN = 80


@dataclass
class Outcome:
    """What one part came to."""

    name: str
    failed: bool
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


def trouble(lines: list[str]) -> list[str]:
    """Pick the lines that tell of a failure and what stands around them, to be read again at the end: the beginning of a long log may be cut."""
    telling = [number for number, line in enumerate(lines) if _TROUBLE.search(line)]
    kept = {near for number in telling for near in range(number - 1, number + _AROUND) if 0 <= near < len(lines)}
    return [lines[number][:400] for number in sorted(kept)][:_SHOWN] or [line[:400] for line in lines[-_AROUND:]]


def _stream(words: list[str | Path]) -> tuple[int, str]:
    """Run a tool of the venv, show its output as it comes, and keep it."""
    environment = {**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    kept = []
    with subprocess.Popen(
        [str(word) for word in words], cwd=paths.ROOT, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            print(line, end="", flush=True)
            kept.append(line)
    _PRINTED.extend(line.rstrip("\n") for line in kept)
    return process.returncode, "".join(kept)


def _all_of(*commands: list[str | Path]) -> bool:
    codes = [_stream(command)[0] for command in commands]
    return not any(codes)


def _lint() -> bool:
    return _all_of([_BIN / "ruff", "check"], [_BIN / "ruff", "format", "--check"])


def _types() -> bool:
    files = [str(path) for pattern in _MODULES for path in sorted(paths.ROOT.glob(pattern))]
    return _all_of([_BIN / "mypy"], [_BIN / "mypy", "--strict", *files])


def _playbooks() -> bool:
    return _all_of([_BIN / "ansible-lint", "--offline", "-q"])


def _audit() -> bool:
    unsafe = audit.unsafe(_BIN / "ruff")
    vulnerable, reason = audit.vulnerable(_BIN / "pip-audit")
    if reason:
        _UNANSWERED.append(("the look for known vulnerabilities (pip-audit)", f"no service answered here ({reason})"))
    return not unsafe and not vulnerable


def _pytest(*words: str) -> Callable[[], dict[str, int] | bool]:
    def run() -> dict[str, int] | bool:
        code, text = _stream([_BIN / "pytest", *words])
        counts = {
            word: int(number)
            for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", text.rpartition("\n=")[2])
        }
        return counts if code == 0 else False

    return run


def _faults() -> bool:
    return _stream([_BIN / "python", "-m", "tests.faults"])[0] == 0


def _mutations() -> bool:
    return _stream([_BIN / "python", "-m", "tests.mutations"])[0] == 0


def _molecule() -> bool:
    return _stream([_BIN / "python", "-m", "tests.hosts", "molecule"])[0] == 0


# Two at a time: most of a test's time is waiting for a host's apt, dockerd and systemd. The tests of one file share a host.
_TWICE = ("-n", "2")
_HOSTS = (*_TWICE, "--dist", "loadfile")
_SLOW = () if os.environ.get("FULL") else ("-m", "not slow")

PARTS: dict[str, Callable[[], dict[str, int] | bool]] = {
    "lint": _lint,
    "types": _types,
    "playbooks": _playbooks,
    "audit": _audit,
    "unit": _pytest("tests/unit", *_TWICE),
    "mutations": _mutations,
    "wheel": _pytest("tests/wheel"),
    "molecule": _molecule,
    "system": _pytest("tests/system", *_HOSTS, *_SLOW),
    "faults": _faults,
}
# By their own target only.
ASIDE = ("faults",)


def not_run() -> list[tuple[str, str]]:
    """What this session leaves untested, and why."""
    missing = list(_UNANSWERED)
    if not os.environ.get("SYSBOX_DEB"):
        reason = "its double stood in (a real user namespace and the original's manners; nested Docker and emulated /proc are not shown)"
        missing.append(("the original Sysbox package", f"{reason}; SYSBOX_DEB=/path/to/sysbox-ce.deb tests with it"))
    if not os.environ.get("FULL"):
        missing.append(("the slow tests of the command on real hosts", "FULL=1 runs them too (an hour more)"))
    missing.append(("runs under fire", "`make test-faults` (minutes; FULL=1: every kill point, an hour)"))
    missing.append(("Docker Desktop", "its double stood in: a proxy that owns /var/run/docker.sock"))
    missing.append(("a WSL2 kernel", "the hosts are containers in a WSL2 dress on this machine's kernel"))
    if sys.platform != "darwin":
        missing.append(
            (
                "macOS, Homebrew and a Lima virtual machine",
                "not a Mac; `make test-vm` runs the slow scenario in a real VM",
            )
        )
    missing.append((f"architectures other than {os.uname().machine}", "containers run on this machine's processor"))
    return missing


def _run(name: str) -> Outcome:
    print(f"\n=== {name} ===", flush=True)
    start = time.monotonic()
    _PRINTED.clear()
    try:
        result = PARTS[name]()
    except HostError as error:
        print(f"Error: {error}", flush=True)
        _PRINTED.append(f"Error: {error}")
        result = False
    counts = result if isinstance(result, dict) else {}
    seconds = time.monotonic() - start
    return Outcome(name, result is False, seconds, counts, trouble(_PRINTED) if result is False else [])


def _report(outcomes: list[Outcome], whole: bool) -> int:
    print("\n=== summary ===")
    for outcome in outcomes:
        counts = ", ".join(f"{number} {word}" for word, number in outcome.counts.items())
        print(f"{'FAILED' if outcome.failed else 'passed':7} {outcome.name:11} {outcome.seconds:6.0f} s  {counts}")
    for outcome in outcomes:
        if outcome.failed:
            print(f"what {outcome.name} said:", *outcome.trouble, sep="\n    ")
    missing = not_run() if whole else _UNANSWERED
    if missing:
        print("not run:")
        for what, why in missing:
            print(f"  - {what}: {why}")
    failed = sum(outcome.failed for outcome in outcomes)
    passed = sum(outcome.counts.get("passed", 1) for outcome in outcomes if not outcome.failed)
    skipped = sum(outcome.counts.get("skipped", 0) for outcome in outcomes)
    words = [f"{failed} failed"] * bool(failed) + [f"{passed} passed"] + [f"{skipped} skipped"] * bool(skipped)
    print(f"{'=' * 20} {', '.join(words)} in {sum(outcome.seconds for outcome in outcomes):.0f}s {'=' * 20}")
    return 1 if failed else 0


def main() -> int:
    """Run the parts named on the command line, or all; the private engine is ended afterwards unless it ran before."""
    names = sys.argv[1:] or [name for name in PARTS if name not in ASIDE]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"Error: no part {unknown[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    ran_before = shutil.which("docker") is not None and engine.private() is not None
    try:
        outcomes = [_run(name) for name in names]
    finally:
        if not ran_before:
            engine.down()
    return _report(outcomes, whole=not sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
