"""A line of salt before what is secret: its hash stands where everybody reads (the record, a unit), and a password alone would be found by trying.

The line is kept while the rest stays, so that a second run changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets

LINE = re.compile(r"# Salt: [0-9a-f]{32}")
TOKEN = re.compile(rb"CONTAINAI_REVISION=[0-9a-f]{12}-([0-9a-f]{8})\b")


def salted(content, there):
    """Return `content` below its line of salt: that of `there`, the bytes on disk or None, where the rest is the same."""
    first, _, rest = (there or b"").decode("utf-8", "replace").partition("\n")
    line = first if rest == content and LINE.fullmatch(first) else f"# Salt: {secrets.token_hex(16)}"
    return f"{line}\n{content}"


def token(text):
    """What may be public of a salted text: it changes with it, and tells nothing about it."""
    return hashlib.sha256(text.partition("\n")[0].encode()).hexdigest()[:8]


def token_of(unit):
    """The token in the bytes of a unit, for who may not read the secret itself."""
    found = TOKEN.search(unit or b"")
    return found[1].decode() if found else ""


def without_salt(text):
    """Return the text as it may be shown."""
    return LINE.sub("# Salt: ***", text)
