"""Load the engine's programs, which have no ending and are no modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType

from tests.unit.roles.conftest import ROLES


def load(name: str) -> ModuleType:
    path = str(ROLES / "docker_engine" / "files" / name)
    loader = importlib.machinery.SourceFileLoader(f"containai_program_{name}", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module
