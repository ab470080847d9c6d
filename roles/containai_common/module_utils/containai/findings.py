"""A line of the health report."""

from __future__ import annotations


def finding(part, status, found, hint=""):
    """Return one finding; status is pass, warn, fail or unknown, and the hint is the command that mends it."""
    return {"part": part, "status": status, "found": found, "hint": hint}
