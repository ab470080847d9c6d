"""What a failed task says, as sentences. Pure: imports no other module of this package, and never raises."""

from __future__ import annotations

import json
import re
from typing import Any

# What Ansible says when it has nothing to say.
_PREFIXES = re.compile(r"\A((Task|Module|Action) failed: )+")
_EMPTY_MESSAGES = ("non-zero return code", "MODULE FAILURE", "One or more items failed", "All items completed")
_TRACE = "Traceback (most recent call last)"
# What Ansible says of a sudo whose question it did not recognise, or that was too slow to ask.
_UNHEARD = re.compile(r"waiting for (become success|privilege escalation prompt)")
_NO_ANSWER = "Module result deserialization failed"


def told(result: dict[Any, Any], task: str) -> tuple[str, str]:
    """Split a failure's text into its first line and the rest; a useless one gives way to what the program said."""
    raw = result.get("msg")
    text = "\n".join(map(plain, raw)) if isinstance(raw, list) else plain(raw)
    text = _PREFIXES.sub("", text.strip("\n"))
    if text.strip().startswith(_NO_ANSWER):
        return f"The step “{task or 'unnamed'}” ended without an answer: it was killed, or memory ran out.", ""
    if text.strip() and not text.strip().startswith(_EMPTY_MESSAGES) and _TRACE not in text:
        first, _, rest = text.partition("\n")
        return first, rest.rstrip()
    code = result.get("rc")
    ending = f" (exit status {code})" if small(code) else ""
    return f"The step “{task or 'unnamed'}” failed{ending}.", _said(result, text)


def unheard(result: dict[Any, Any]) -> tuple[str, str, str] | None:
    """Read the failure of a sudo that Ansible does not understand: message, what sudo said, hint."""
    text = plain(result.get("msg"))
    if not _UNHEARD.search(text.partition("\n")[0]):
        return None
    said = "\n".join(row for row in text.splitlines()[1:] if row.strip() and not row.startswith(">>>"))
    return (
        "sudo gave no answer that Ansible understands: it was too slow, or asks for the password in words of its own.",
        said,
        "run `sudo -k true` to see what it says, or start cai itself with sudo",
    )


def _said(result: dict[Any, Any], text: str) -> str:
    """Find what the program behind a task said: its last lines, of a traceback the very last."""
    spoken = [plain(result.get(key)).strip() for key in ("stderr", "module_stderr", "stdout")]
    said = next((words for words in [*spoken, text.strip()] if words and not _is_data(words)), "")
    if _TRACE in said:
        return said.splitlines()[-1]
    return "" if said.startswith(_EMPTY_MESSAGES) else "\n".join(said.splitlines()[-8:])


def _is_data(text: str) -> bool:
    """Whether a program's words are JSON, which is no answer to anybody."""
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def plain(value: Any) -> str:
    """Make a text of whatever an event holds in its place; "" of what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, float) or small(value) else ""


def small(value: Any) -> bool:
    """Whether it is a whole number that can be written: Python refuses one of thousands of digits."""
    return isinstance(value, int) and abs(value) < 10**18
