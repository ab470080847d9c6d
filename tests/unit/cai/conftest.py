"""Stub content in a temporary folder, and the real command run over it as a user would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

# No folder of examples in the repository, and no failure because a machine is busy.
settings.register_profile("cai", database=None, deadline=None)
settings.load_profile("cai")

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
PLATFORMS = ("linux", "wsl2", "macos")  # the tests run on any of them
SPEC = """
argument_specs:
  main:
    options:
      stub_text: {type: str, description: A text.}
      stub_count: {type: int, description: A number.}
      stub_mapping: {type: dict, description: Anything.}
"""


class Sandbox:
    """A content root with stub playbooks, a home, and the command."""

    def __init__(self, root: Path) -> None:
        self.runs = 0
        self.home = root / "home"
        self.bin = root / "bin"
        self.content = root / "content"
        role = self.content / "roles" / "stub"
        for folder in (
            self.home,
            self.bin,
            self.content / "playbooks",
            role / "library",
            role / "tasks",
            role / "meta",
        ):
            folder.mkdir(parents=True)
        self.program("sudo", "exit 0")  # one that needs no password, whoever runs the tests
        shutil.copytree(REPOSITORY / "inventory", self.content / "inventory")
        shutil.copy(REPOSITORY / "ansible.cfg", self.content)
        shutil.copy(HERE / "pretend.py", role / "library")
        (role / "meta" / "argument_specs.yml").write_text(SPEC)

    def program(self, name: str, script: str) -> Path:
        """Put a shell script on the command's PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def tasks(self, text: str, command: str = "setup") -> None:
        """Make the command's playbook: one role with these tasks."""
        (self.content / "roles" / "stub" / "tasks" / f"{command}.yml").write_text(textwrap.dedent(text))
        play = (
            f"- hosts: localhost\n  tasks:\n    - ansible.builtin.import_role: {{name: stub, tasks_from: {command}}}\n"
        )
        for platform in PLATFORMS:
            name = platform if command == "setup" else f"{command}-{platform}"
            (self.content / "playbooks" / f"{name}.yml").write_text(play)

    def environment(self, **more: str) -> dict[str, str]:
        """Give the command's environment: nothing of the caller's but PATH."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "CAI_CONTENT": str(self.content),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Start a setup that says a line when its long step begins."""
        path = self.content / "roles" / "stub" / "tasks" / "setup.yml"
        path.write_text("- name: Begin\n  pretend:\n" + path.read_text())
        return subprocess.Popen(
            [sys.executable, "-m", "cai", "setup"],
            env=self.environment(**more),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def given(self) -> list[dict[str, Any]]:
        """List the variables of every run of `quick`, and whether it was a check."""
        path = self.content / "given"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def quick(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command in this process, with an Ansible that does as the tasks tell it (see told.py)."""
        from cai import cli, paths
        from tests.unit.cai.told import in_place_of_ansible

        self.runs += 1
        moment = SimpleNamespace(strftime=lambda _: f"20260101-000000-{self.runs:03}")  # two runs in one second
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(**more), clear=True),
            mock.patch.object(paths, "time", moment),
            in_place_of_ansible(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = cli.run(list(arguments))
        return subprocess.CompletedProcess(arguments, int(code), out.getvalue(), err.getvalue())

    def cai(self, *arguments: str, cwd: str = "/", **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, in a process of its own and with a real Ansible."""
        return subprocess.run(
            [sys.executable, "-m", "cai", *arguments],
            cwd=cwd,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path)
    made.tasks("- name: Look at the machine\n  pretend:\n")
    return made


@pytest.fixture
def photograph():
    return _files


def _files(root: Path) -> dict[str, object]:
    """Photograph a folder: every name, with a file's bytes, mode and times."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(root.rglob("*"))
    }
