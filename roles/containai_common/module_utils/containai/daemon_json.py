"""Read a daemon.json as strictly as dockerd does, and change one member of it without touching any other byte.

Pure: text in, text out. dockerd's own reader refuses comments, trailing commas and unknown keys; ours refuses what could be
read in two ways as well (a key given twice), since a change could then mean something else than it says.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring

from ansible.module_utils.containai.validation import on_ipv6_loopback

BOM = b"\xef\xbb\xbf"
SPACE = re.compile(r"[ \t\r\n]*")
TOKEN = re.compile(r'(?P<key>"(?:[^"\\]|\\.)*")(?=[ \t\r\n]*:)|"(?:[^"\\]|\\.)*"|[{}\[\]]|[^ \t\r\n{}\[\],:"]+')
LARGEST, DEEPEST, LONGEST_NUMBER = 1 << 20, 100, 1000

# What the engine's unit says itself: dockerd refuses to start with an option given both as a flag and in the file.
UNIT_FLAGS = (
    "hosts", "data-root", "graph", "exec-root", "pidfile", "containerd", "group",
    "userland-proxy-path", "host-gateway-ip", "host-gateway-ips",
)  # fmt: skip


def _on_ipv6_loopback(value):
    """Whether one of a list of addresses, or one of the proxies of a mapping, is on [::1]."""
    if isinstance(value, dict):
        value = [item for key, item in value.items() if key != "no-proxy"]
    return isinstance(value, list) and any(isinstance(item, str) and on_ipv6_loopback(item) for item in value)


# What would break the dedicated engine in its own network namespace: key, the value that does, and why.
BREAKING = (
    ("bridge", lambda value: value not in ("", "docker0"), "names a bridge that the secure engine's own network namespace does not have"),
    ("iptables", lambda value: value is False, "would leave the secure engine's containers without a network"),
    ("ip-masq", lambda value: value is False, "would leave the secure engine's containers without a network"),
    ("ip-forward", lambda value: value is False, "would leave the secure engine's containers without a network"),
    *(
        (key, _on_ipv6_loopback, "names [::1], which the secure engine's own network does not reach; write 127.0.0.1")
        for key in ("proxies", "registry-mirrors", "insecure-registries")
    ),
    ("userland-proxy", lambda value: value is False, "would hide the secure engine's published ports"),
)


class DaemonJsonError(ValueError):
    """The file cannot be used as it is; the text says what was found, where, and what is needed."""


def parse(data):
    """Return (text, object) of a daemon.json's bytes. Nothing at all (or white space) counts as an empty object."""
    if data.startswith(BOM):
        raise DaemonJsonError("it starts with a byte order mark (line 1, column 1), which older dockerds refuse; save it as UTF-8 without BOM")
    if len(data) > LARGEST:
        raise DaemonJsonError(f"it has {len(data)} bytes, and no daemon.json needs more than {LARGEST}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        raise DaemonJsonError(f"it is not UTF-8 text (line {line}, byte {column} of it)") from error
    if not text.strip(" \t\r\n"):
        return text, {}
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DaemonJsonError(f"it is not valid JSON: {error.msg} {_where(text, error.pos)}") from error
    except (ValueError, RecursionError) as error:
        _refuse_oddities(text)
        raise DaemonJsonError(f"it holds a value that no daemon.json needs: {error}") from error
    _refuse_oddities(text)
    if not isinstance(value, dict):
        kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
        raise DaemonJsonError(f"it holds {kind} {_where(text, _skip(text, 0))}, and dockerd needs an object: {{ ... }}")
    return text, value


def _where(text, position):
    return f"(line {text.count(chr(10), 0, position) + 1}, column {position - text.rfind(chr(10), 0, position)})"


def _refuse_oddities(text):
    """Raise for what Python's reader lets pass, or refuses without saying where."""
    open_objects = []
    for token in TOKEN.finditer(text):
        word, start = token.group(), token.start()
        if word in "{[":
            open_objects.append(set())
            if len(open_objects) > DEEPEST:
                raise DaemonJsonError(f"it is nested deeper than {DEEPEST} levels {_where(text, start)}, and no daemon.json is")
        elif word in "}]":
            open_objects.pop()
        elif token["key"]:
            key = json.loads(word)
            if key in open_objects[-1]:
                raise DaemonJsonError(f"the key {json.dumps(key)} stands in it twice {_where(text, start)}, so it can be read in two ways; keep one of them")
            open_objects[-1].add(key)
        elif word in ("NaN", "Infinity", "-Infinity"):
            raise DaemonJsonError(f"it is not valid JSON: {word} is not a JSON value {_where(text, start)}")
        elif word[0] != '"' and len(word) > LONGEST_NUMBER:
            raise DaemonJsonError(f"it holds a number of {len(word)} digits {_where(text, start)}, and no daemon.json needs that")


def _no_constant(name):
    raise ValueError(name)


def conflicts(value, dns=()):
    """Return [(key, reason)] for the settings with which the dedicated engine, whose unit names `dns`, could not run."""
    flags = (*UNIT_FLAGS, "dns") if dns else UNIT_FLAGS
    found = [(key, "is set by the secure engine's unit as well, and dockerd refuses an option given twice") for key in flags if key in value]
    found += [(key, why) for key, breaks, why in BREAKING if key in value and breaks(value[key])]
    return found


def with_runtime(data, name, wanted):
    """Return `data` with runtimes.`name` holding `wanted` (an object; further keys of an entry that is there stay).

    Every byte outside that entry stays. Raises DaemonJsonError where the file cannot be used.
    """
    text, value = parse(data)
    runtimes = value.get("runtimes", {})
    if not isinstance(runtimes, dict):
        position = next(start for key, start, _, _ in _members(text, _skip(text, 0)) if key == "runtimes")
        raise DaemonJsonError(f'its "runtimes" is not an object {_where(text, position)}')
    entry = runtimes.get(name)
    if isinstance(entry, dict) and all(entry.get(key) == item for key, item in wanted.items()):
        return data
    entry = {**entry, **wanted} if isinstance(entry, dict) else dict(wanted)
    if not text.strip(" \t\r\n"):
        return (json.dumps({"runtimes": {name: entry}}, indent=2) + "\n").encode()
    return _set(text, ["runtimes", name], entry).encode()


def without_runtime(data, name):
    """Return `data` without runtimes.`name`, and without "runtimes" where that was its only entry."""
    text, value = parse(data)
    runtimes = value.get("runtimes")
    if not isinstance(runtimes, dict) or name not in runtimes:
        return data
    return _cut(text, ["runtimes", name] if len(runtimes) > 1 else ["runtimes"]).encode()


def _skip(text, position):
    return SPACE.match(text, position).end()


def _members(text, start):
    """Yield (key, start of the key, start and end of the value) for each member of the object whose `{` is at `start`."""
    decoder = json.JSONDecoder()
    position = _skip(text, start + 1)
    while text[position] != "}":
        first = position
        key, position = scanstring(text, position + 1, True)
        position = _skip(text, _skip(text, position) + 1)
        _, end = decoder.raw_decode(text, position)
        yield key, first, position, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _object_end(text, start):
    return json.JSONDecoder().raw_decode(text, start)[1] - 1


def _layout(text, start):
    """Return (white space before a member, unit of indentation) as the object at `start` is written; no line break: inline."""
    members = list(_members(text, start))
    own = _line_indent(text, start)
    unit = _document_unit(text)
    if members:
        lead = text[start + 1 : members[0][1]]
        return (lead if "\n" in lead else ""), unit
    return ("\n" + own + unit if unit else ""), unit


def _line_indent(text, position):
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _document_unit(text):
    """The file's unit of indentation; two spaces for an empty object, none for a file written in one line."""
    top = _skip(text, 0)
    members = list(_members(text, top))
    if not members:
        return "  "
    lead = text[top + 1 : members[0][1]]
    return lead.rsplit("\n", 1)[1] if "\n" in lead else ""


def _render(value, lead, unit):
    if not lead:
        return json.dumps(value)
    newline = "\r\n" if "\r\n" in lead else "\n"
    return json.dumps(value, indent=unit or "  ").replace("\n", newline + lead.rsplit("\n", 1)[1])


def _set(text, path, value):
    start = _skip(text, 0)
    for depth, key in enumerate(path):
        lead, unit = _layout(text, start)
        member = next((m for m in _members(text, start) if m[0] == key), None)
        last = depth == len(path) - 1
        if member and last:
            return text[: member[2]] + _render(value, lead, unit) + text[member[3] :]
        if member:
            start = member[2]
            continue
        for inner in reversed(path[depth + 1 :]):
            value = {inner: value}
        return _append(text, start, key, _render(value, lead, unit), lead)
    raise AssertionError(path)


def _append(text, start, key, rendered, lead):
    members = list(_members(text, start))
    entry = f"{json.dumps(key)}: {rendered}"
    if members:
        end = members[-1][3]
        return text[:end] + "," + (lead or " ") + entry + text[end:]
    closing = _object_end(text, start)
    tail = ("\r\n" if "\r\n" in lead else "\n") + _line_indent(text, start) if lead else ""
    return text[: start + 1] + lead + entry + tail + text[closing:]


def _cut(text, path):
    start = _skip(text, 0)
    for key in path[:-1]:
        start = next(m for m in _members(text, start) if m[0] == key)[2]
    members = list(_members(text, start))
    index = next(i for i, m in enumerate(members) if m[0] == path[-1])
    if index > 0:
        return text[: members[index - 1][3]] + text[members[index][3] :]
    if len(members) > 1:
        return text[: members[0][1]] + text[members[1][1] :]
    return text[: start + 1] + text[_object_end(text, start) :]
