"""The collection that is made from this repository: full names everywhere, and Ansible can build, install and read it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import collection

ROLES = {path.name for path in (collection.ROOT / "roles").iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "source"
    collection.make(folder)
    return folder


@pytest.fixture(scope="module")
def installed(made: Path) -> Path:
    """Where the collection is installed, from its file and nothing else."""
    ansible(made.parent, "ansible-galaxy", "collection", "build", str(made), "--output-path", str(made.parent))
    (file,) = made.parent.glob("containai-secure_engine-*.tar.gz")
    ansible(made.parent, "ansible-galaxy", "collection", "install", str(file), "--offline", "-p", str(made.parent / "installed"))  # fmt: skip
    return made.parent / "installed"


def ansible(folder: Path, *words: str) -> str:
    """Run one of Ansible's programs far from this repository."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "installed"),
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tasks(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping below a node."""
    if isinstance(node, dict):
        yield node
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from tasks(below)


def test_modules_and_roles_have_full_names(made: Path) -> None:
    modules = {path.stem for path in (made / "plugins" / "modules").glob("*.py")}
    assert len(modules) >= 15
    used = set()
    for path in [*made.glob("roles/*/tasks/*.yml"), *made.glob("playbooks/**/*.yml")]:
        for task in tasks(yaml.safe_load(path.read_text())):
            # A key of a task, not of the variables below it.
            if "name" in task:
                assert not modules & set(task) - {"docker_context"}, (path.name, task)
            used |= {key for key in task if key.startswith(collection.NAME)}
            for key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                assert key not in task or task[key]["name"].startswith(collection.NAME), (path.name, task)
    assert {name.rpartition(".")[2] for name in used} == modules


def test_module_utils_are_imported_from_the_collection(made: Path) -> None:
    utilities = made / "plugins" / "module_utils"
    seen = 0
    for path in made.glob("plugins/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(collection.UTILITIES):
                below = str(node.module).removeprefix(collection.UTILITIES).strip(".").split(".")
                for name in [below[0]] if below[0] else [alias.name for alias in node.names]:
                    assert (utilities / f"{name}.py").exists() or (utilities / name).is_dir(), (path.name, name)
                    seen += 1
    assert seen > 50


def test_no_file_of_the_roles_is_lost(made: Path) -> None:
    for role in ROLES:
        wanted = {
            str(path.relative_to(collection.ROOT / "roles" / role))
            for path in collection.sources(collection.ROOT / "roles" / role)
        }
        kept = {str(path.relative_to(made / "roles" / role)) for path in collection.sources(made / "roles" / role)}
        assert {name for name in wanted - kept if not name.startswith(("library/", "module_utils/"))} == set()


@pytest.mark.parametrize(
    ("python", "galaxy"),
    [("1.2.0", "1.2.0"), ("1.2", "1.2.0"), ("1.2.0.dev3", "1.2.0-dev3"), ("2.0rc1", "2.0.0-rc1")],
)
def test_the_version_is_one_that_galaxy_takes(python: str, galaxy: str) -> None:
    assert collection.semantic(python) == galaxy


@pytest.mark.ansible
def test_it_installs_offline_and_its_documentation_is_readable(made: Path, installed: Path) -> None:
    names = [f"{collection.NAME}.{path.stem}" for path in (made / "plugins" / "modules").glob("*.py")]
    found = json.loads(ansible(made.parent, "ansible-doc", "--json", *names))
    assert set(found) == set(names)
    for name, entry in found.items():
        assert entry["doc"]["short_description"], name
    for kind in ("callback", "inventory"):
        for path in (made / "plugins" / kind).glob("*.py"):
            assert "containai" in ansible(made.parent, "ansible-doc", "-t", kind, f"{collection.NAME}.{path.stem}")


@pytest.mark.slow
@pytest.mark.ansible
def test_its_playbooks_are_found_by_their_full_names(made: Path, installed: Path) -> None:
    playbooks = [f"{collection.NAME}.{path.stem}" for path in (made / "playbooks").glob("*.yml")]
    assert f"{collection.NAME}.site" in playbooks
    ansible(made.parent, "ansible-playbook", "-i", "localhost,", "--syntax-check", *playbooks)
