"""The VM's part of the health report: what is found, and the command that mends it."""

from __future__ import annotations

from ansible.module_utils.containai.findings import finding
from ansible.module_utils.containai_limactl import answers

MEND = "run `cai setup`"


def findings(lima, status, reasons, dead, reachable):
    """Return findings; `reasons`: what a setup would put right, `dead`: whether the VM is of no use until then."""
    name = lima.name
    if status is None:
        return [finding("VM", "fail", f"there is no Lima VM {name}", MEND)]
    if status != "Running":
        return [finding("VM", "fail", f"{name} is {status.lower() or 'unusable'}", f"run `limactl start {name}`" if status == "Stopped" else MEND)]
    if not reachable:
        found = finding("VM", "fail", f"{name} runs, but cannot be reached over ssh", f"run `limactl stop {name}; limactl start {name}`")
    elif reasons:
        found = finding("VM", "fail" if dead else "warn", "; ".join(reasons), MEND)
    else:
        found = finding("VM", "pass", f"{name} runs")
    if answers(lima.socket):
        return [found, finding("forwarded socket", "pass", f"Docker answers on {lima.socket}")]
    return [found, finding("forwarded socket", "fail", f"Docker does not answer on {lima.socket}", MEND)]
