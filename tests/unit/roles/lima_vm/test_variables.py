"""The role's variables: defaults and argument_specs say the same, for every entry point."""

from __future__ import annotations

from typing import Any

import yaml

from .conftest import ROLE


def specs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


def test_defaults_and_argument_specs_agree() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    settings = {name: value for name, value in defaults.items() if not name.startswith("__")}
    assert settings == {name: option["default"] for name, option in specs()["main"]["options"].items()}


def test_every_entry_point_takes_the_same_variables() -> None:
    assert len({str(entry["options"]) for entry in specs().values()}) == 1
