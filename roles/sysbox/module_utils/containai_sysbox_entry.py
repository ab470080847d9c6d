"""The entry of Sysbox in a daemon.json: whether it is there."""

from __future__ import annotations

from ansible.module_utils.containai.daemon_json import DaemonJsonError, parse, with_runtime
from ansible.module_utils.containai.record import read

NAME = "sysbox-runc"


def is_right(path, runtime):
    """Whether the file has the runtime and nothing that a run says something about; False where that cannot be told."""
    try:
        data = read(path) or b""
        return with_runtime(data, NAME, {"path": runtime}) == data and parse(data)[1].get("default-runtime") != NAME
    except (DaemonJsonError, OSError):
        return False
