"""Hide the password of a proxy's address before a text is shown or kept."""

from __future__ import annotations

import re

# A password may hold @ and /, so its end is the last @ of the value; a " ends the value, since none can stand in one.
PROXY = re.compile(r"(?i)(_proxy[\"']?[ \t]*[=:][ \t]*[\"']?(?:[a-z][a-z0-9+.-]*://)?)([^\"\n]*)")
WORD = re.compile(r"[^\s\"]+")


def mask(text):
    """Return `text`, of one line or many, with *** for user and password in every address: http://me:pw@proxy:3128 and me:pw@proxy:3128 alike.

    For every diff, message and log: of proxy.env, a Lima template, settings or a program's output. What is no secret may be hidden
    with it; that is the safe side.
    """
    return WORD.sub(_in_word, PROXY.sub(_in_setting, text))


def _in_setting(setting):
    lead, value = setting.groups()
    _, at, rest = value.rpartition("@")
    return f"{lead}***@{rest}" if at else setting.group()


def _in_word(word):
    head, at, rest = word.group().rpartition("@")
    lead, scheme, _ = head.partition("://")
    if at and scheme:
        return f"{lead}://***@{rest}"
    name, colon, _ = head.partition(":")
    return f"{name[: name.rfind('=') + 1]}***@{rest}" if at and colon else word.group()
