"""Which kind of machine this is. The roles decide between WSL2, WSL1 and Linux; the command asks them."""

from __future__ import annotations

import importlib.util
import os
from enum import Enum
from functools import cache
from types import ModuleType

from cai import content


class Platform(Enum):
    """A kind of machine; the value is the playbook's name."""

    MACOS = "macos"
    WSL2 = "wsl2"
    LINUX = "linux"
    WSL1 = "wsl1"
    UNSUPPORTED = "unsupported"

    @property
    def title(self) -> str:
        """The name as users know it."""
        return {"macos": "macOS", "wsl2": "WSL2", "linux": "Linux", "wsl1": "WSL1"}.get(self.value, self.value)

    @property
    def supported(self) -> bool:
        """Whether a playbook exists for it."""
        return self in (Platform.MACOS, Platform.WSL2, Platform.LINUX)


@cache
def shared() -> ModuleType:
    """Load the roles' own code for this, which is the only one."""
    path = content.own("roles/containai_common/module_utils/containai/platform.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def detect() -> Platform:
    """Tell the platform of this machine."""
    system = os.uname().sysname
    if system == "Darwin":
        return Platform.MACOS
    return Platform(shared().platform_here()) if system == "Linux" else Platform.UNSUPPORTED
