"""The playbooks' own modules, run as Ansible runs them, on a machine of programs and files that a test makes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType

import ansible.module_utils
import pytest

from tests.unit.roles.conftest import REPOSITORY, commands

__all__ = ["commands"]

FOLDER = REPOSITORY / "playbooks/module_utils"
if str(FOLDER) not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(FOLDER))


@pytest.fixture(scope="session")
def playbook_module() -> Callable[[str], ModuleType]:
    """Import playbooks/library/NAME.py."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"playbook_{name}", REPOSITORY / f"playbooks/library/{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
