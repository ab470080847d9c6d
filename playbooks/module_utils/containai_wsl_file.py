"""WSL's settings files, read as WSL reads them and changed in one value: everything else keeps its bytes.

The grammar is that of WSL's own reader (microsoft/WSL, src/shared/configfile/configfile.cpp): sections and keys of
letters and digits, comments with #, values with quotes, escapes and lines that a backslash continues. Of a key that is
given twice newer WSL takes the first one, so all of them are changed. Windows opens .wslconfig with ccs=UTF-8, which
knows UTF-8 and, by its byte order mark, UTF-16 (little endian); /etc/wsl.conf is read as UTF-8.
"""

from __future__ import annotations

import codecs
import re

from ansible.module_utils.containai.errors import Failure

ITEM = re.compile(
    r"""(?P<blank>[ \t\r]*(?:\#[^\n]*)?(?:\n|\Z))
    |[ \t]*\[(?P<section>[A-Za-z][A-Za-z0-9]*)\][ \t]*(?:\#[^\n]*)?\r?(?:\n|\Z)
    |[ \t]*(?P<key>[A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*
     (?P<value>(?:\\(?:[\\"bnt]|\r?\n)|"(?:\\(?:[\\"bnt]|\r?\n)|[^"\\\r\n])*"|[^"\\\#\r\n])*)(?:\#[^\n]*)?\r?(?:\n|\Z)""",
    re.VERBOSE,
)
ESCAPES = {"b": "\b", "n": "\n", "t": "\t"}


def plain(value):
    """A value without its quotes and escapes, as WSL takes it."""
    text = re.sub(r'"|\\(\r?\n|.)', lambda found: ESCAPES.get(found[1] or "", (found[1] or "").strip("\r\n")), value)
    return text.strip(" \t")


def decode(path, data, windows):
    """(byte order mark, encoding, text) of a file; `windows`: whether Windows reads it."""
    mend = f"save {path} as UTF-8, for instance in an editor that runs with `nano {path}`"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not (
        windows and data.startswith(codecs.BOM_UTF16_LE)
    ):
        raise Failure(f"The file {path} is in a form of UTF-16 that WSL does not read there.", mend, "precondition")
    mark = next((one for one in (codecs.BOM_UTF16_LE, codecs.BOM_UTF8) if data.startswith(one)), b"")
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-8"
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise Failure(
            f"The file {path} cannot be read as {encoding.upper()}: byte {len(mark) + error.start} is not.",
            mend,
            "precondition",
        ) from error
    if "\0" in text:
        raise Failure(
            f"The file {path} holds NUL bytes, as UTF-16 without a byte order mark does; WSL does not read that.",
            mend,
            "precondition",
        )
    return mark, encoding, text


def lowered(names):
    """(section, key) as WSL compares them."""
    return [(section.lower(), key.lower()) for section, key in names]


class SettingsFile:
    """One of the two files, as bytes of which a value can be changed."""

    def __init__(self, path, data, windows=False):
        """`data` is None where there is no such file."""
        self.path, self.windows = path, windows
        self.mark, self.encoding, self.text = decode(path, data or b"", windows)
        # WSL takes the mark for a letter in wsl.conf, and passes over that line.
        self.start = 0 if windows or not self.mark else self.text.find("\n") + 1 or len(self.text)
        self._scan()

    def _scan(self):
        """Note where sections begin, and each (section, key) with its value and the value's place."""
        self.sections, self.entries, section, place = [], [], "", self.start
        while place < len(self.text):
            found = ITEM.match(self.text, place)
            if not found or found.end() == place:
                self._refuse(place)
            if found["section"]:
                section = found["section"].lower()
                self.sections.append((section, found.end()))
            elif found["key"]:
                self.entries.append(((section, found["key"].lower()), plain(found["value"]), found.span("value")))
            place = found.end()

    def _refuse(self, place):
        line = self.text[place:].splitlines()[0].strip()
        shown = line if len(line) <= 60 else line[:59] + "..."
        raise Failure(
            f"The file {self.path} cannot be changed safely: WSL does not understand its line "
            f"{self.text.count(chr(10), 0, place) + 1}, {shown!r}.",
            f"mend that line or put a # before it, for instance with `nano {self.path}`",
            "precondition",
        )

    def set(self, names, value, same=()):
        """Give the first of the (section, key) that value, and the others where they stand. `same`: synonyms."""
        wanted, keys = {value.lower(), *same}, lowered(names)
        given = [(span, old) for name, old, span in self.entries if name in keys]
        for (start, end), old in reversed(given):
            if old.lower() not in wanted:
                blanks = len(self.text[start:end]) - len(self.text[start:end].rstrip(" \t"))
                self.text = self.text[:start] + value + self.text[end - blanks :]
        if not given:
            self._add(*names[0], value)
        self._scan()

    def _add(self, section, key, value):
        newline = "\r\n" if "\r\n" in self.text or (self.windows and not self.text) else "\n"
        line = f"{key}={value}{newline}"
        place = next((end for name, end in self.sections if name == section), None)
        if place is None:
            line, place = f"[{section}]{newline}{line}", len(self.text)
        # A backslash at the file's end continues on the line that comes.
        continued = bool(self.entries) and self.entries[-1][2][1] == place
        if place and (continued or not self.text[:place].endswith("\n")):
            line = newline + line
        self.text = self.text[:place] + line + self.text[place:]

    @property
    def encoded(self):
        """The file's new bytes."""
        return self.mark + self.text.encode(self.encoding)
