"""Makes foreign text harmless and fit for a line. Pure."""

from __future__ import annotations

import difflib
import re
import textwrap

from cai.events import Diff

# C0 but newline and tab, DEL, C1, and the marks that reorder or hide what is shown.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Show control characters instead of obeying them."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def indented(text: str, width: int) -> str:
    """Make a clean text whose second and later lines cannot pass for lines of cai."""
    return clean(text).replace("\n", "\n" + " " * width)


def line(text: str) -> str:
    """Make one clean line of a text."""
    return " ".join(clean(text).split())


def wrapped(text: str, width: int, label: str = "", indent: int = 0) -> str:
    """Fill lines of `width`: the label, the text, further lines indented; a command in backquotes stays whole."""
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", "\0"), line(text))
    rows = textwrap.wrap(
        whole,
        max(width, indent + 20),
        initial_indent=label,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(rows or [label]).replace("\0", " ")


def fit(text: str, width: int) -> str:
    """Shorten a text to a width."""
    return text if len(text) <= width else text[: max(width - 1, 1)] + "…"


def duration(seconds: float) -> str:
    """Say how long something took: 0.4s, 12s, 1m 05s, 1h 02m."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def count(number: int, noun: str) -> str:
    """Say "1 step" or "3 steps"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def unified(diff: Diff) -> list[str]:
    """Write a diff as `diff -u` does."""
    before, after = diff.before.splitlines(), diff.after.splitlines()
    old = diff.before_header if diff.before else "/dev/null"
    new = diff.after_header if diff.after else "/dev/null"
    made = difflib.unified_diff(before, after, old, new, n=3, lineterm="")
    return [clean(text).replace("\n", " ") for text in made]
