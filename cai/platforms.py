"""Which kind of machine this is. Pure: imports nothing of ours, reads nothing unless told to."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path


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


def classify(uname_s: str, proc_version: str) -> Platform:
    """Tell the platform from the output of `uname -s` and the text of /proc/version."""
    if uname_s == "Darwin":
        return Platform.MACOS
    if uname_s != "Linux":
        return Platform.UNSUPPORTED
    kernel = proc_version.lower()
    if "microsoft-standard" in kernel or ("microsoft" in kernel and "wsl2" in kernel):
        return Platform.WSL2
    # WSL1 has no Linux kernel; its emulated version string names Microsoft as the builder.
    return Platform.WSL1 if "microsoft" in kernel else Platform.LINUX


def detect(proc_version: Path = Path("/proc/version")) -> Platform:
    """Tell the platform of this machine."""
    try:
        text = proc_version.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return classify(os.uname().sysname, text)
