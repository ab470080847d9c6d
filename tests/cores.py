"""The playbooks and the tests that run Ansible, under every ansible-core that pyproject.toml allows. usage: python -m tests.cores"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.hosts import paths

BESIDE = (
    "ansible-runner",
    "click",
    "pyyaml",
    "rich",
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "jsonschema",
    "cryptography",
)


def minors() -> list[int]:
    """The allowed 2.x, by their x."""
    needs = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (core,) = (need for need in needs if need.startswith("ansible-core"))
    first, last = re.search(r">=2\.(\d+)", core), re.search(r"<2\.(\d+)", core)
    if not first or not last:
        raise SystemExit(f"no range 2.x to 2.y in {core!r}")
    return list(range(int(first[1]), int(last[1])))


def tried(minor: int) -> str:
    """Run everything under one; returns what came of it."""
    venv = paths.CACHE / "cores" / f"2.{minor}"
    pip = [venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    if subprocess.run([*pip, f"ansible-core==2.{minor}.*", *BESIDE], check=False).returncode:
        return f"not run: Python {sys.version_info.major}.{sys.version_info.minor} here cannot have it"
    playbooks = sorted(Path(paths.ROOT, "playbooks").glob("*.yml"))
    checks = [
        [venv / "bin/ansible-playbook", "--syntax-check", "-i", "localhost,", *playbooks],
        [venv / "bin/pytest", "-q", "-m", "ansible", "tests/unit", "-n", "2"],
    ]
    environment = {
        "PATH": f"{venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(venv),
    }
    codes = [subprocess.run(check, cwd=paths.ROOT, env=environment, check=False).returncode for check in checks]
    return "FAILED" if any(codes) else "passed"


def main() -> int:
    """Run them all; 1 when one fails, or none could run."""
    results = {f"2.{minor}": tried(minor) for minor in minors()}
    for version, result in results.items():
        print(f"ansible-core {version}: {result}")
    return 1 if "FAILED" in results.values() or "passed" not in results.values() else 0


if __name__ == "__main__":
    raise SystemExit(main())
