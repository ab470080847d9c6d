"""Known vulnerabilities of the pinned packages, by whichever service answers; and the unsafe habits that ruff knows, in every program we ship."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from . import paths
from .shell import run

LOCK = paths.ROOT / "requirements" / "dev.txt"
SERVICES = ("pypi", "osv")
# What ships, the program without an ending included: ruff finds that one only by its name.
SHIPPED = ("cai", "roles", "scripts", "molecule", "roles/docker_engine/files/docker-proxy")


def unsafe(ruff: Path) -> bool:
    """Look for unsafe code; True when there is some."""
    # As pyproject.toml has it: commands are fixed lists, never a shell.
    files = [paths.ROOT / name for name in SHIPPED]
    done = run([ruff, "check", "--select", "S", "--ignore", "S603,S607", *files], check=False)
    print(done.stdout + done.stderr, end="")
    return done.returncode != 0


def _ask(program: Path, service: str, requirements: Path) -> tuple[list[dict[str, object]], str]:
    """Return (packages as the service knows them, why it is no answer)."""
    words = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "20", "--format", "json"]
    done = run([program, "--vulnerability-service", service, *words, "--requirement", requirements], check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        return [], "it cannot be reached" if "Error: HTTP" in said or "Errno" in said else said[:120]
    unknown = [package["name"] for package in found if "skip_reason" in package]
    return found, f"it does not know {unknown[0]}" if unknown else ""


def _first_entry() -> str:
    return re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", LOCK.read_text(), flags=re.MULTILINE))[0] + "\n"


def vulnerable(program: Path) -> tuple[bool, str]:
    """Return (whether the lock pins a package with a known vulnerability, why nobody could tell)."""
    reasons = []
    for service in SERVICES:
        with tempfile.TemporaryDirectory() as folder:
            one = Path(folder, "one.txt")
            one.write_text(_first_entry())
            reason = _ask(program, service, one)[
                1
            ]  # one package first: a service that does not answer is not asked a hundred times
        if not reason:
            found, reason = _ask(program, service, LOCK)
        if not reason:
            bad = [package for package in found if package.get("vulns")]
            for package in bad:
                print(f"{package['name']} {package['version']}: {json.dumps(package['vulns'])}")
            print(f"{len(found)} packages of {LOCK.name}, {len(bad)} with a known vulnerability ({service})")
            return bool(bad), ""
        reasons.append(f"{service}: {reason}")
    return False, "; ".join(reasons)


def main() -> int:
    """Look for both; what nobody could tell is said at the end of the session."""
    bin_folder = Path(sys.executable).parent
    found = unsafe(bin_folder / "ruff")
    vulnerable_ones, reason = vulnerable(bin_folder / "pip-audit")
    if reason:
        note = f"  - known vulnerabilities (pip-audit): no service answered here ({reason})\n"
        (paths.CACHE / "logs").mkdir(parents=True, exist_ok=True)
        (paths.CACHE / "logs" / "audit.unrun").write_text(note)
        print(f"not asked: {note}", end="")
    return 1 if found or vulnerable_ones else 0


if __name__ == "__main__":
    raise SystemExit(main())
