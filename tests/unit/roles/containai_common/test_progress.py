"""What a long step says of itself while it runs, for the live line of the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.containai import progress

# As apt writes it: to the descriptor of its option, several kinds of lines, and an end without a newline. It waits to be looked at.
APT = """
import os, sys, time
fd = int(dict(word.split("=") for word in sys.argv if "=" in word)["APT::Status-Fd"])
for line in sys.stdin.read().splitlines():
    os.write(fd, (line + "\\n").encode())
    for _ in range(500):
        if line.split(":")[2][:2] in open(sys.argv[1]).read():
            break
        time.sleep(0.01)
    else:
        sys.exit(9)
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dlstatus:1:20.5:Retrieving file 1 of 5\n", "20%, downloading"),
        ("pmstatus:docker.io:44.4444:Unpacking docker.io (amd64)\n", "44%, unpacking docker.io"),
        ("pmstatus:dpkg-exec:0.0000:Running dpkg\n", "0%, running dpkg"),
        ("pmconffile:/etc/x:33.3:'/etc/x' '/etc/x.dpkg-new' 1 1\n", ""),
        ("pmerror:x:1:bad\n", ""),
        ("media-change:x:y:z\n", ""),
        ("\n", ""),
        ("dlstatus\n", ""),
        ("pmstatus:a:nonsense:b\n", ""),
    ],
)
def test_what_apt_says_becomes_a_few_words(line: str, said: str) -> None:
    assert progress.of_apt(line) == said


@pytest.mark.parametrize(
    ("done", "whole", "said"), [(12_100_000, 31_000_000, "39%, 12.1 of 31.0 MB"), (2_000_000, 0, "2.0 MB")]
)
def test_a_size_is_a_percentage_where_the_end_is_known(done: int, whole: int, said: str) -> None:
    assert progress.size(done, whole) == said


def test_a_command_is_followed_while_it_runs_and_nothing_is_left_said(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    file.touch()
    lines = "dlstatus:1:11:x\npmstatus:runc:55:Unpacking runc\n"

    def run(argv: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", APT, str(file), *argv], input=lines, text=True, check=False, **more
        )

    before = set(Path("/proc/self/fd").iterdir())
    assert progress.followed(run, ["apt-get", "update"], str(file)).returncode == 0
    assert file.read_text() == "\n"
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_without_a_file_the_command_is_run_as_it_is() -> None:
    assert progress.followed(lambda argv: argv, ["apt-get", "update"], "") == ["apt-get", "update"]


def test_no_link_is_followed_and_no_failure_matters(tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "progress"
    secret.write_text("mine")
    link.symlink_to(secret)
    progress.tell(str(link), "x")
    progress.tell(str(tmp_path / "absent" / "x"), "x")
    progress.tell("", "x")
    assert secret.read_text() == "mine"
