"""Job templates and surveys for AWX and Automation Controller, made from the roles' argument_specs.yml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from cai.config import OF_A_ROLE_ALONE

ROOT = Path(__file__).resolve().parents[1]
ROLES = ("docker_engine", "sysbox", "docker_context")  # those that site.yml has
TYPES = {"str": "text", "path": "text", "int": "integer", "bool": "multiplechoice", "float": "float"}
# What the playbooks read themselves: name, question, type, default.
SERIAL = [
    ("cai_serial", "Hosts at a time: a number or a percentage", "str", "100%"),
    ("cai_max_fail_percentage", "Stop after a batch of which more than this percentage failed", "int", 100),
]
FORCE = [("cai_force", "Go on in spite of a seccomp conflict (WSL2)", "bool", False)]
REMOVAL = [
    ("cai_yes", "Stop containers that still run", "bool", False),
    ("cai_purge", "Remove images, containers and volumes too", "bool", False),
]
WSL: list[tuple[Any, ...]] = [
    ("cai_windows_systemd", "Have WSL start systemd in the distro", "bool", False),
    ("cai_windows_networking_mode", "Network mode of WSL; empty leaves it", "str", "", ["", "nat"]),
    ("cai_windows_restart", "The most that may be restarted", "str", "never", ["never", "distro", "wsl"]),
]
# File: (name, playbook, what it does, questions of the playbook, whether the roles' variables are asked for).
TEMPLATES = {
    "setup": ("Secure engine: set up", "site.yml", "Set up or upgrade, and verify", [*FORCE, *SERIAL], True),
    "windows": ("Secure engine: prepare WSL", "windows.yml", "What the distros need of WSL", WSL, False),
    "doctor": ("Secure engine: health", "doctor.yml", "Report the health; changes nothing", [], False),
    "uninstall": ("Secure engine: remove", "uninstall.yml", "Remove what setup made", [*REMOVAL, *SERIAL], False),
}


def question(name: str, text: str, kind: str, default: Any, choices: list[str] | None = None) -> dict[str, Any]:
    """One question of a survey."""
    asked: dict[str, Any] = {
        "variable": name,
        "question_name": name,
        "question_description": text,
        "type": "multiplechoice" if choices else TYPES[kind],
        "required": False,
        "default": str(default).lower() if kind == "bool" else default,
    }
    if kind == "bool" or choices:
        asked["choices"] = choices or ["true", "false"]
    elif kind == "int":
        asked.update(min=0, max=1 << 20)
    else:
        asked.update(min=0, max=1024)
    return asked


def of_role(role: str) -> list[dict[str, Any]]:
    """The questions of a role: a survey can ask for plain values; lists, dicts and computed defaults stay variables."""
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    found = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    asked = []
    for name, option in found.items():
        kind, default = option.get("type", "str"), option.get("default", "")
        if (
            name in OF_A_ROLE_ALONE
            or kind not in TYPES
            or option.get("required")
            or option.get("no_log")
            or "{{" in str(default)
        ):
            continue
        text = option["description"]
        text = " ".join((text if isinstance(text, str) else " ".join(text)).split())
        asked.append(question(name, text, kind, default, option.get("choices")))
    return asked


def survey(name: str) -> dict[str, Any]:
    """The survey of a job template, as /api/v2/job_templates/N/survey_spec/ takes it."""
    title, _, about, own, roles = TEMPLATES[name]
    asked = [question(*one) for one in own]
    if roles:
        asked += [one for role in ROLES for one in of_role(role)]
    return {"name": title, "description": about, "spec": asked}


def template(name: str) -> dict[str, Any]:
    """A job template, as /api/v2/job_templates/ takes it with an inventory, a project and credentials."""
    title, playbook, about, _, _ = TEMPLATES[name]
    return {
        "name": title,
        "description": about,
        "job_type": "run",
        "playbook": f"playbooks/{playbook}",
        "forks": 10,
        "become_enabled": False,  # the playbooks become root themselves
        "ask_job_type_on_launch": True,  # check mode
        "ask_limit_on_launch": True,
        "ask_variables_on_launch": True,
        "ask_diff_mode_on_launch": True,
        "survey_enabled": bool(survey(name)["spec"]),
    }


def pages() -> dict[str, str]:
    """The files of docs/awx, with what should be in them."""
    made = {}
    for name in TEMPLATES:
        made[f"{name}.json"] = template(name)
        if survey(name)["spec"]:
            made[f"{name}-survey.json"] = survey(name)
    return {name: json.dumps(content, indent=2) + "\n" for name, content in made.items()}
