"""An Ansible that does as it is told, behind ansible-runner's own entry: the tasks of the stub role, as the events that a real run hands over.

It knows the stub module `pretend`, `ignore_errors` and no more; what Ansible itself does is shown by the tests that are marked `ansible`.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml
from ansible_runner import interface


class Loader(yaml.SafeLoader):
    """Reads the marks of what must not be templated as well."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


class Runner:
    """What init_runner returns, as far as cai uses it."""

    def __init__(
        self, playbook: str, cmdline: str, artifact_dir: str, ident: str, event_handler: Any, **_: Any
    ) -> None:
        self.config = SimpleNamespace(command=["ansible-playbook"], artifact_dir=f"{artifact_dir}/{ident}", env={})
        self.rc: int | None = None
        self.playbook, self.handle = Path(playbook), event_handler
        self.arguments = shlex.split(cmdline)

    def run(self) -> None:
        """Go through the tasks; note the variables that were given."""
        (given,) = (word[1:] for word in self.arguments if word.startswith("@"))
        variables = yaml.load(Path(given).read_text(), Loader)
        content = self.playbook.parents[1]
        with (content / "given").open("a") as log:
            log.write(json.dumps({"variables": variables, "check": "--check" in self.arguments}) + "\n")
        (play,) = yaml.safe_load(self.playbook.read_text())
        tasks_from = play["tasks"][0]["ansible.builtin.import_role"]["tasks_from"]
        tasks = yaml.safe_load((content / f"roles/stub/tasks/{tasks_from}.yml").read_text())
        counts = {"ok": 0, "changed": 0, "failures": 0}
        log_file = Path(self.config.artifact_dir, "stdout")
        log_file.touch(mode=0o600)
        for task in tasks:
            about = {"task": task["name"], "task_action": "pretend", "role": "stub", "host": "localhost"}
            told = task.get("pretend") or {}
            self.handle({"event": "playbook_on_task_start", "event_data": about, "stdout": ""})
            self.handle({"event": "runner_on_start", "event_data": about, "stdout": ""})
            failed = told.get("failure")
            result = {"changed": False, "warnings": told.get("warnings", []), **(failed or told.get("result", {}))}
            more = {"ignore_errors": bool(task.get("ignore_errors")), "duration": 0.1, "res": result}
            said = f"\r\nTASK [stub : {task['name']}] ***\r\n{json.dumps(result)}"
            with log_file.open("a") as log:
                log.write(said)
            self.handle(
                {"event": f"runner_on_{'failed' if failed else 'ok'}", "event_data": {**about, **more}, "stdout": said}
            )
            stopped = bool(failed) and not more["ignore_errors"]
            counts["failures" if stopped else "ok"] += 1
            counts["changed"] += bool(result["changed"]) and not failed
            if stopped:
                break
        self.handle(
            {
                "event": "playbook_on_stats",
                "event_data": {key: {"localhost": number} for key, number in counts.items()},
                "stdout": "",
            }
        )
        self.rc = 2 if counts["failures"] else 0


def in_place_of_ansible() -> Any:
    """Patch ansible-runner's entry."""
    return mock.patch.object(interface, "init_runner", Runner)


if __name__ == "__main__":
    from cai.__main__ import main

    with in_place_of_ansible():
        main()
