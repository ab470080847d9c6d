"""Make docs/variables.md, docs/awx, the tables of the roles and the manual pages, from argument_specs.yml and --help.

usage: python scripts/docs.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]  # run as a program, it finds only its own folder
from cai.config import OF_A_ROLE_ALONE  # noqa: E402 - after the line above
from scripts import awx  # noqa: E402
from scripts.manual import pages  # noqa: E402

ORDER = ("docker_engine", "sysbox", "docker_context", "lima_vm")
SECTION = re.compile(r"(?m)^## Variables\n(?:(?!## ).*\n?)*")
HEAD = "| name | type | default | meaning |\n|---|---|---|---|\n"
TOO_LONG = 100
INTRODUCTION = """\
# Variables

<!-- Made by scripts/docs.py from roles/*/meta/argument_specs.yml: edit those, then run `make docs`. -->

Set them for one run with `cai setup -e NAME=VALUE`, for every run in `~/.config/containai/config.yml`, and for a
fleet in the inventory or with `ansible-playbook -e`. `-e` wins over the file, the file over the defaults below; a name
or a type that is not in this list is refused.

The playbooks themselves read four more:

| name | type | default | meaning |
|---|---|---|---|
| `cai_force` | bool | `false` | Go on in spite of a seccomp conflict (WSL2); a failed verification is a warning then. |
| `cai_become` | bool | `true` | Become root with sudo. `false` where the connection is root's already. |
| `cai_purge` | bool | `false` | Uninstall playbooks: remove images, containers and volumes too. |
| `cai_yes` | bool | `false` | Uninstall playbooks: stop containers that still run instead of refusing. |
"""


def options(role: Path) -> dict[str, dict[str, Any]]:
    """Return the options of all entry points of a role, in the order of the file."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


def markdown(text: str) -> str:
    """Turn Ansible's C(...), I(...) and M(...) into Markdown that fits into a table's cell."""
    return re.sub(r"\b[CIM]\(([^)]*)\)", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def default(option: dict[str, Any]) -> str:
    value = option.get("default")
    if option.get("required"):
        return "**required**"
    if value in (None, "", [], {}):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "[see there](defaults/main.yml)" if len(text) > TOO_LONG else f"`{text}`".replace("|", "\\|")


def meaning(option: dict[str, Any]) -> str:
    text = option["description"]
    text = markdown(text if isinstance(text, str) else " ".join(text))
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", []) if choice != "")
    return f"{text} One of {choices}." if choices else text


def table(role: Path, without: frozenset[str] = frozenset()) -> str:
    rows = (
        f"| `{name}` | {option.get('type', 'str')} | {default(option)} | {meaning(option)} |\n"
        for name, option in options(role).items()
        if name not in without
    )
    return HEAD + "".join(rows)


def roles() -> list[Path]:
    found = {path.parents[1].name: path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml")}
    return [found[name] for name in sorted(found, key=lambda name: (*(name != one for one in ORDER), name))]


def page() -> str:
    parts = [INTRODUCTION]
    for role in roles():
        specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
        link = f"../roles/{role.name}/"
        text = table(role, OF_A_ROLE_ALONE).replace("(defaults/main.yml)", f"({link}defaults/main.yml)")
        parts.append(f"\n## {role.name}\n{specs['main']['short_description']}. [More]({link}README.md)\n\n{text}")
    return "".join(parts)


def readme(role: Path) -> str:
    """Return the role's README with a current section "Variables"."""
    text = (role / "README.md").read_text(encoding="utf-8")
    section = f"## Variables\n{table(role)}"
    found = SECTION.search(text)
    if not found:
        return f"{text.rstrip()}\n\n{section}"
    rest = text[found.end() :]
    return text[: found.start()] + section + (f"\n{rest}" if rest else "")


def wanted() -> dict[Path, str]:
    """Return every generated file with what should be in it."""
    files = {role / "README.md": readme(role) for role in roles() if (role / "README.md").exists()}
    manual = {ROOT / "docs" / "man" / name: text for name, text in pages().items()}
    templates = {ROOT / "docs" / "awx" / name: text for name, text in awx.pages().items()}
    return {**files, **manual, **templates, ROOT / "docs" / "variables.md": page()}


def main(argv: list[str]) -> int:
    stale = {
        path: text for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(f"{'stale' if '--check' in argv else 'made'}: {path.relative_to(ROOT)}")
        if "--check" not in argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
