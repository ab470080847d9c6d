"""The job templates and surveys for AWX: what they ask for are variables, and their playbooks exist."""

from __future__ import annotations

import json

import pytest
import yaml

from scripts import awx, docs


@pytest.mark.parametrize("name", awx.TEMPLATES)
def test_a_survey_asks_for_variables_with_answers_that_fit(name: str) -> None:
    known = {option: spec for role in awx.ROLES for option, spec in docs.options(awx.ROOT / "roles" / role).items()}
    texts = "".join(path.read_text() for path in (awx.ROOT / "playbooks").rglob("*.yml"))
    texts += "".join(path.read_text() for path in (awx.ROOT / "roles").rglob("tasks/*.yml"))
    for asked in awx.survey(name)["spec"]:
        variable = asked["variable"]
        assert variable in known or variable in texts, variable
        if asked["type"] == "multiplechoice":
            assert asked["default"] in asked["choices"], variable
        if asked["type"] == "integer":
            assert isinstance(asked["default"], int), variable
        assert "{{" not in json.dumps(asked), variable


def test_every_plain_variable_of_the_roles_is_asked_for() -> None:
    asked = {one["variable"] for one in awx.survey("setup")["spec"]}
    assert {"docker_engine_source", "docker_engine_egress", "sysbox_version", "cai_force", "cai_serial"} <= asked
    assert not {"docker_engine_proxy", "sysbox_sha256", "sysbox_deb"} & asked


def test_a_template_names_a_playbook() -> None:
    for name in awx.TEMPLATES:
        path = awx.ROOT / awx.template(name)["playbook"]
        assert yaml.safe_load(path.read_text()), path
