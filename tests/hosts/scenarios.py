"""Runs the Molecule scenarios on hosts of this package: `python3 -m tests.hosts molecule [molecule's own words]`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import engine, galaxy, paths
from .doubles import sysbox_deb, user_image

SCENARIOS = ("wsl2", "linux")
STEPS = ("prepare", "converge", "idempotence", "verify")


def environment() -> dict[str, str]:
    """What the scenarios' files expect to find in the environment."""
    engine.up()
    host = engine.docker_host()
    package = sysbox_deb.chosen(paths.CACHE / "doubles")
    made = {
        "CAI_TEST_COLLECTIONS": str(galaxy.ensure()),
        "CAI_TEST_SYSBOX_DEB": str(package),
        "CAI_TEST_SYSBOX_SHA256": sysbox_deb.sha256(package),
        "CAI_TEST_IMAGE": str(user_image.build()),
        # Molecule's and Ansible's own state.
        "ANSIBLE_HOME": str(paths.CACHE / "ansible"),
        # ansible-playbook is not on PATH when the venv is not active.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    if not sys.stdout.isatty():
        made |= {"NO_COLOR": "1", "PY_COLORS": "0", "ANSIBLE_NOCOLOR": "1", "MOLECULE_COMMAND_BORDERS": "false"}
    if host:
        made["DOCKER_HOST"] = host
    return made


def molecule(words: list[str]) -> int:
    """Run molecule; returns its exit code. Without words, everything on fresh hosts."""
    command = str(Path(sys.executable).with_name("molecule"))
    made = {**os.environ, **environment()}

    def run(*arguments: str) -> int:
        return subprocess.run([command, *arguments], env=made, cwd=paths.ROOT, check=False).returncode

    def scenario(name: str) -> int:
        """Run one to its end; what it says is printed then, whole, since the other one is at work beside it."""
        with tempfile.TemporaryFile("w+") as said:
            code = 0
            for step in STEPS:
                argv = [command, step, "-s", name]
                code = subprocess.run(argv, env=made, cwd=paths.ROOT, stdout=said, stderr=said, check=False).returncode
                if code:
                    break
            said.seek(0)
            print(said.read(), end="", flush=True)
        return code

    if words:
        return run(*words)
    try:
        # Hosts of a run that was stopped would be taken for new ones.
        code = run("destroy", "-s", "default") or run("create", "-s", "default")
        if not code:
            with ThreadPoolExecutor(len(SCENARIOS)) as pool:
                code = next(filter(None, [*pool.map(scenario, SCENARIOS)]), 0)  # a killed one has a negative code
    finally:
        run("destroy", "-s", "default")
    return code
