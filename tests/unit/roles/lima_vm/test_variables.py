"""The role's variables: defaults, argument_specs and the README's table say the same. `python3 FILE` writes the table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[4] / "roles" / "lima_vm"
HEAD = "| name | type | default | meaning |\n|---|---|---|---|\n"


def specs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


def table() -> str:
    rows = []
    for name, option in specs()["main"]["options"].items():
        default = option["default"]
        if isinstance(default, list) and default:
            shown = "two pinned images"
        elif default in ("", [], {}) and default is not False:
            shown = ""
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        cells = [f"`{name}`", option["type"], shown, re.sub(r"C\(([^)]*)\)", r"`\1`", option["description"])]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return HEAD + "".join(rows)


def test_defaults_and_argument_specs_agree() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in specs()["main"]["options"].items()}


def test_every_entry_point_takes_the_same_variables() -> None:
    assert len({str(entry["options"]) for entry in specs().values()}) == 1


def test_the_readme_has_the_table() -> None:
    assert table() in (ROLE / "README.md").read_text()


if __name__ == "__main__":
    path = ROLE / "README.md"
    path.write_text(re.sub(re.escape(HEAD) + r"(\|.*\n)*", lambda _: table(), path.read_text()))
