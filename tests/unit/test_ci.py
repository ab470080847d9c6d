"""What CI runs: all parts, whatever fails; a part that hangs has failed; the VM's story whenever it is not known to have run with these files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run(folder: Path, make: str = "exit 0", vm_differs: bool = True) -> tuple[int, list[str], list[str]]:
    """Run it with a `make` that notes what is asked of it; return the exit code, the parts, and what was said."""
    program(folder, "make", f'echo "$1" >>{folder}/asked\n{make}')
    program(folder, "sh", f"exit {int(not vm_differs)}")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", ROOT / ".ci/run"], env=environment, capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    return done.returncode, (folder / "asked").read_text().split(), done.stdout.splitlines()


PARTS = ["test", "faults-telling", "test-vm"]


def test_all_run_whatever_fails(tmp_path: Path) -> None:
    code, parts, said = run(tmp_path, "exit 2")
    assert (code, parts) == (1, PARTS)
    assert said[-1].endswith(f": failed: {' '.join(PARTS)}")


def test_the_vms_story_is_left_out_where_nothing_differs(tmp_path: Path) -> None:
    code, parts, said = run(tmp_path, vm_differs=False)
    assert (code, parts) == (0, PARTS[:2])
    assert said[-1].endswith(": all passed that was run")


def test_what_hangs_has_failed_and_the_rest_runs(tmp_path: Path) -> None:
    program(tmp_path, "timeout", f'shift 2; "$@"; [ "$2" != test ] || exit 124; exit 0 # {tmp_path}')
    code, parts, said = run(tmp_path)
    assert (code, parts) == (1, PARTS)
    assert said[-1].endswith(": failed: test (ended after 60 minutes)")


def test_what_a_failed_part_said_is_read_again_at_the_end(tmp_path: Path) -> None:
    _, _, said = run(tmp_path, "echo $1 went wrong\ntest $1 != test")
    again = said.index("##### make test ended so:")
    assert said[again + 1] == "test went wrong"
    assert said.index("test went wrong") < again
    assert "faults-telling went wrong" not in said[again:]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for folder in ("tests/vm", ".ci", "roles/lima_vm", "playbooks"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tests/vm-differs", tmp_path / "tests")
    (tmp_path / "tests/vm/story.py").touch()
    git(tmp_path, "init", "-q")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *words], cwd=folder, check=True, capture_output=True)  # fmt: skip


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")


def test_the_vms_story_runs_when_in_doubt(repository: Path) -> None:
    def differs(*words: str) -> bool:
        return subprocess.run(["sh", repository / "tests/vm-differs", *words], check=False, capture_output=True).returncode == 0  # fmt: skip

    assert differs()  # nothing is committed
    commit(repository)
    assert differs()  # nobody knows of a run
    differs("record")
    assert not differs()
    (repository / "README.md").touch()
    commit(repository)
    assert not differs()
    (repository / "roles/lima_vm/x.yml").touch()
    assert differs()
    differs("record")  # files that are not committed cannot be noted
    commit(repository)
    assert differs()
    shutil.rmtree(repository / ".git")
    assert differs()
