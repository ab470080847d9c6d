"""Settings: one schema made from the roles' argument_specs, the user's file, and -e KEY=VALUE."""

from __future__ import annotations

import contextlib
import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cai.errors import CaiError, Exit

# A text, and all of a setting's values; ten times what anybody needs.
LONGEST, MOST, LARGEST = 1 << 16, 10_000, 1 << 20
_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}
_CARRIED_BY_NOTHING = re.compile("[\0\ud800-\udfff]")
_SETTINGS = "`cai path` prints the folder whose roles/*/README.md list all settings"
# What is asked for each time, never set for good.
_FLAGS = {
    **dict.fromkeys(("force", "cai_force", "sysbox_force"), "cai setup --force"),
    **dict.fromkeys(("purge", "cai_purge", "lima_vm_purge"), "cai uninstall --purge"),
}
_TITLES = {
    "str": "a text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, as a role's argument_specs declares it."""

    name: str
    role: str = ""
    type: str = "str"
    description: str = ""
    choices: tuple[Any, ...] = ()
    elements: str = ""
    options: dict[str, Option] = field(default_factory=dict)


# For a playbook that uses the role sysbox without docker_engine.
# Beside it, docker_engine's settings are the only names of these things.
OF_A_ROLE_ALONE = frozenset(
    {"sysbox_socket", "sysbox_data_root", "sysbox_engine_unit", "sysbox_allow_removal", "sysbox_proxy"}
)


def schema(roles: Path) -> dict[str, Option]:
    """Read every setting from roles/*/meta/argument_specs.yml."""
    found: dict[str, Option] = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        specs = (_load(path) or {}).get("argument_specs") or {}
        for entry in specs.values():
            for name, raw in ((entry or {}).get("options") or {}).items():
                if name not in OF_A_ROLE_ALONE:
                    found.setdefault(name, _option(name, raw or {}, path.parts[-3]))
    return found


def _option(name: str, raw: dict[str, Any], role: str) -> Option:
    text = raw.get("description") or ""
    return Option(
        name=name,
        role=role,
        type=raw.get("type") or "str",
        description=" ".join(text) if isinstance(text, list) else str(text),
        choices=tuple(raw.get("choices") or ()),
        elements=raw.get("elements") or "",
        options={key: _option(key, sub or {}, role) for key, sub in (raw.get("options") or {}).items()},
    )


def _load(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def gather(known: dict[str, Option], file: Path, extra: tuple[str, ...]) -> dict[str, Any]:
    """Merge the settings: -e wins over the file; what neither names keeps the role's default."""
    return {**from_file(known, file), **from_command_line(known, extra)}


def from_file(known: dict[str, Option], file: Path) -> dict[str, Any]:
    """Read and check the settings file; a missing one means no settings."""
    import yaml

    try:
        if file.stat().st_size > LARGEST:
            raise _bad(f"{file} has more than {LARGEST} bytes; no settings need that.")
        data = _load(file)
    except FileNotFoundError:
        return {}
    except RecursionError as error:
        raise _bad(f"{file} is nested too deeply.") from error
    except (OSError, UnicodeError) as error:
        raise _bad(f"{file} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _bad(f"{file}{where} is not valid YAML: {getattr(error, 'problem', None) or error}.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _bad(f"{file} must hold `name: value` lines, not {_named(data)}.")
    return {name: _checked(_known(known, name, str(file)), value, f"{file}: {name}") for name, value in data.items()}


def from_command_line(known: dict[str, Option], extra: tuple[str, ...]) -> dict[str, Any]:
    """Read and check -e KEY=VALUE arguments; the last of a name wins."""
    result = {}
    for item in extra:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise _bad(f"-e {_short(repr(item))} is not KEY=VALUE.", "write it like `-e sysbox_version=0.7.1`")
        option = _known(known, name, "-e")
        result[name] = _checked(option, _typed(option, text), f"-e {name}")
    return result


def _known(known: dict[str, Option], name: Any, where: str) -> Option:
    if isinstance(name, str) and name in known:
        return known[name]
    # First the same thing of another role, then what looks like it.
    close = [item for item, option in known.items() if str(name).endswith(item.removeprefix(option.role))]
    close = close or difflib.get_close_matches(str(name)[:80], known, n=3, cutoff=0.6)
    if str(name) in _FLAGS:
        hint = f"use `{_FLAGS[str(name)]}`"
    elif close:
        hint = "did you mean " + " or ".join(f"`{item}`" for item in close) + "?"
    else:
        hint = _SETTINGS
    raise _bad(f"{where}: there is no setting named {_short(repr(str(name)))}.", hint)


def _typed(option: Option, text: str) -> Any:
    """Turn a command-line text into the option's type; a text stays as it is, to the letter."""
    if option.type == "bool":
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
    if option.type in ("int", "float"):
        try:
            return int(text) if option.type == "int" else float(text)
        except ValueError:
            return text
    if option.type in ("list", "dict", "raw"):
        return _parsed(text)
    return text


def _parsed(text: str) -> Any:
    """Read JSON or YAML; JSON first, whose escapes beyond U+FFFF YAML takes for halves of characters."""
    import json

    import yaml

    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    with contextlib.suppress(yaml.YAMLError, RecursionError, ValueError):
        return yaml.safe_load(text)
    return text


def _checked(option: Option, value: Any, where: str) -> Any:
    _storable(value, where)
    if not _fits(option.type, value):
        raise _bad(f"{where} must be {_TITLES.get(option.type, option.type)}, not {_named(value)}.")
    if option.choices and value not in option.choices:
        raise _bad(f"{where} must be one of {', '.join(map(str, option.choices))}, not {_named(value)}.")
    if option.type == "list" and (option.elements or option.options):
        element = Option("element", option.role, option.elements or "dict", options=option.options)
        return [_checked(element, item, f"{where}[{number}]") for number, item in enumerate(value)]
    if option.type == "dict" and option.options:
        return {
            key: _checked(_known(option.options, key, where), item, f"{where}.{key}") for key, item in value.items()
        }
    return value


def _fits(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return number and isinstance(value, int)
        case "float":
            return number
        case "list":
            return isinstance(value, list)
        case "dict":
            return isinstance(value, dict)
        case "str" | "path":
            return isinstance(value, str)
    return True


def _storable(value: Any, where: str) -> None:
    """Refuse what no file or command could carry: half a character, a NUL byte, or no end (YAML's aliases multiply)."""
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > MOST or (isinstance(item, str) and len(item) > LONGEST):
            raise _bad(f"{where} is too large: more than {MOST} values, or a text of more than {LONGEST} characters.")
        if isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and _CARRIED_BY_NOTHING.search(item):
            raise _bad(f"{where} holds a NUL byte or bytes that are not UTF-8.")


def _named(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _bad(message: str, hint: str = _SETTINGS) -> CaiError:
    return CaiError(message, hint=hint, code=Exit.USAGE)


class _Literal(str):
    """A text that Ansible must not template."""

    __slots__ = ()


def dump(values: dict[str, Any]) -> str:
    """Write variables as YAML in which Ansible never templates a text, whatever it holds."""
    import yaml

    def literal(dumper: Any, text: str) -> Any:
        # Only where there could be a template: Ansible takes an unsafe "007" or "yes" for a number or a truth value.
        return dumper.represent_scalar("!unsafe" if "{" in text else "tag:yaml.org,2002:str", str(text), style='"')

    dumper: Any = type("Dumper", (yaml.SafeDumper,), {})
    dumper.add_representer(_Literal, literal)
    dumped: str = yaml.dump(_literal(values), Dumper=dumper, width=10**6, sort_keys=False)
    return dumped


def _literal(value: Any) -> Any:
    """Mark every text; not the keys, which Ansible neither templates nor takes marked."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return _Literal(value) if isinstance(value, str) else value
