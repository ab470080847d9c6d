"""The wheel, installed in an empty environment, is the whole product."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel
REPOSITORY = Path(__file__).parents[2]
BUNDLED = ("playbooks", "roles", "inventory")


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked():
    """List what git would publish of the content; a wheel must hold this and nothing else."""
    listed = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", *BUNDLED, "ansible.cfg", cwd=REPOSITORY
    )
    return {name for name in listed.splitlines() if (REPOSITORY / name).exists() and "__pycache__" not in name}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", target, cwd=REPOSITORY)
    # The wheel is built from the sdist, as an index's users may have to.
    (sdist,) = target.glob("*.tar.gz")
    run("tar", "-xzf", sdist, "-C", target)
    (source,) = (path for path in target.iterdir() if path.is_dir())
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target, cwd=source)
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Install the wheel alone; its dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", built)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "cai"


def cai(command, *arguments, home):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    return subprocess.run([command, *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False)


def test_it_holds_the_repositorys_content_and_nothing_else(built):
    with zipfile.ZipFile(built) as archive:
        names = {name.removeprefix("cai/_content/") for name in archive.namelist() if name.startswith("cai/_content/")}
    assert names == tracked()


def test_it_holds_the_schema_and_the_type_marker(built):
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    assert {"cai/py.typed", "cai/schemas/document.json"} <= names


def test_path_names_a_folder_inside_the_environment(installed, tmp_path):
    done = cai(installed, "path", home=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert installed.parents[1] in folder.parents
    assert (folder / "playbooks" / "wsl2.yml").is_file()
    assert (folder / "ansible.cfg").is_file()
    assert os.access(folder / "roles", os.X_OK)


def test_a_dry_run_works_from_anywhere_and_leaves_nothing(installed, tmp_path):
    before = sorted(installed.parents[1].rglob("*"))
    done = cai(installed, "setup", "--dry-run", home=tmp_path)
    # A machine of any kind: done (0), stopped by the gate (1), or refused (3); never a mistake of ours.
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    assert "mistake in cai" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert sorted(installed.parents[1].rglob("*")) == before


def test_the_manual_pages_are_where_man_looks(built):
    with zipfile.ZipFile(built) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist() if ".data/data/share/man/man1/" in name}
    assert names == {path.name for path in (REPOSITORY / "docs" / "man").iterdir()}
    assert {"cai.1", "cai-run.1"} <= names
