"""An uninstall stops the engine of ours, and no other, whatever the settings say."""

from __future__ import annotations

import yaml

from tests.unit.roles.conftest import ROLES


def test_the_engine_that_is_stopped_is_named_by_no_setting() -> None:
    (task,) = yaml.safe_load((ROLES / "docker_engine/tasks/stop.yml").read_text())
    arguments = task["docker_engine_service"]
    assert arguments["unit"] == "containai-docker.service"
    assert all(name.startswith("containai-") for name in arguments["helpers"])
