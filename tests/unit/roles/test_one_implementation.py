"""The VM, WSL2 and Linux share one installation of Docker and Sysbox: the same roles are called, and nothing stands twice."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import yaml

from tests.unit.roles.conftest import REPOSITORY, ROLES

PARTS = ("files", "library", "module_utils", "templates")
LINES = 5  # as many lines in a row are a copy, not a coincidence
INSTALLATION = {
    *(("docker_engine", part) for part in ("install", "configure", "start")),
    *(("sysbox", part) for part in ("install", "configure", "verify")),
}


def calls(node: Any) -> set[tuple[str, str]]:
    """Every (role, entry point) that is imported below a YAML node."""
    if isinstance(node, list):
        return set().union(*map(calls, node))
    if not isinstance(node, dict):
        return set()
    role = node.get("ansible.builtin.import_role", {})
    found = {(role["name"], role.get("tasks_from", "main"))} if role else set()
    return found.union(*map(calls, node.values()))


def test_the_vm_and_the_distro_are_set_up_by_the_same_roles() -> None:
    for file in ["macos.yml", "tasks/secure-engine.yml"]:
        assert calls(yaml.safe_load((REPOSITORY / "playbooks" / file).read_text())) >= INSTALLATION


def test_wsl2_and_linux_share_it_whole() -> None:
    for file in ["wsl2.yml", "linux.yml"]:
        text = (REPOSITORY / "playbooks" / file).read_text()
        assert "tasks/secure-engine.yml" in text
        assert not calls(yaml.safe_load(text)) & INSTALLATION


def test_the_vms_own_role_installs_nothing_in_it() -> None:
    for path in [*ROLES.glob("lima_vm/tasks/*"), *ROLES.glob("lima_vm/templates/*")]:
        text = path.read_text()
        for word in ("apt-get", "apt:", "dpkg", ".deb", "daemon.json", "sysbox-runc", "curl ", "wget"):
            assert word not in text, path.name


def test_no_code_stands_twice() -> None:
    seen: dict[tuple[str, ...], Path] = {}
    twice = []
    for path in sorted(path for part in PARTS for path in ROLES.glob(f"*/{part}/**/*") if path.suffix != ".pyc"):
        if not path.is_file():
            continue
        lines = [line.strip() for line in path.read_text().splitlines()]
        telling = [line for line in lines if len(line) > 8 and not line.startswith(("#", "import ", "from "))]
        for run in zip(*(itertools.islice(telling, start, None) for start in range(LINES)), strict=False):
            if seen.setdefault(run, path) != path:
                twice.append(f"{seen[run].name} and {path.name}: {run[0]}")
    assert twice == []


def test_no_role_imports_the_code_of_another() -> None:
    """What several roles need is in the role containai_common, which each of them names as its dependency."""
    owners = {path.stem: path.parts[-3] for path in ROLES.glob("*/module_utils/*.py")}
    for role in sorted(path.parent.name for path in ROLES.glob("*/library")):
        sources = "".join(path.read_text() for path in (ROLES / role).glob("*/*.py"))
        imported = {owners[name] for name in re.findall(r"\bcontainai_\w+", sources) if name in owners}
        assert imported <= {role}, role
        assert yaml.safe_load((ROLES / role / "meta/main.yml").read_text())["dependencies"] == [
            {"role": "containai_common"}
        ]


def test_the_shared_code_imports_no_roles_code() -> None:
    for path in (ROLES / "containai_common").rglob("*.py"):
        assert not re.search(r"\bcontainai_\w+ import|import containai_", path.read_text()), path.name
