"""Records what ansible-runner says of the scenarios below; run it when ansible-runner's events change.

python tests/unit/cai/record.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))
KEPT = {"name", "task", "task_action", "role", "host", "res", "ignore_errors", "failures", "dark", "changed", "ok"}

UNIT = "[Unit]\nDescription=ContainAI engine\n\n[Service]\nExecStart=/usr/bin/dockerd\n"
BEFORE, AFTER = '{\n  "debug": true\n}\n', '{\n  "debug": true,\n  "runtimes": {}\n}\n'
BOX = "╔═════════════╗\n║ ⚠️  WARNING  ║\n╚═════════════╝\nPID 1 has a seccomp listener (WSL 2.4.4)."


def step(
    name: str, sleep: float = 0, warnings: tuple[str, ...] = (), failure: Any = None, **result: Any
) -> dict[str, Any]:
    task = {"result": result, "sleep": sleep, "warnings": list(warnings)}
    return {"name": name, "pretend": {**task, **({"failure": failure} if failure else {})}}


def act(verb: str, what: str) -> dict[str, str]:
    return {"verb": verb, "what": what}


def diff(path: str, before: str, after: str) -> list[dict[str, str]]:
    return [{"before_header": path, "after_header": path, "before": before, "after": after}]


GATE = {"verdict": "pass", "found": "no seccomp listener on PID 1"}
SETUP = {
    "sysbox": [step("Pass the seccomp gate", gate=GATE)],
    "docker_engine": [
        step("Look at the host", warnings=("default-runtime is sysbox-runc already; it was left alone.",)),
        step("Install Docker's packages", changed=True, actions=[act("install", "docker-ce, containerd.io")]),
        step(
            "Write the engine's unit",
            changed=True,
            actions=[act("create", "/etc/systemd/system/containai-docker.service"), act("start", "containai-docker")],
            diff=diff("/etc/systemd/system/containai-docker.service", "", UNIT),
            notes=["Log out and in again, so that group containai takes effect."],
        ),
    ],
    "docker_context": [
        step(
            "Merge the Sysbox runtime into daemon.json",
            changed=True,
            actions=[act("change", "/etc/docker/daemon.json")],
            diff=diff("/etc/docker/daemon.json", BEFORE, AFTER),
        ),
        step("Create the context", actions=[act("leave", "the context containai-secure")]),
    ],
}
FINDINGS = [
    {"part": "Platform", "status": "pass", "found": "WSL2, Ubuntu 24.04, kernel 6.6"},
    {"part": "Engine", "status": "fail", "found": "containai-docker.service is stopped", "hint": "run `cai setup`"},
    {"part": "Sysbox", "status": "warn", "found": "0.7.0; 0.7.1 is there", "hint": "run `cai setup`"},
    {"part": "Isolation", "status": "unknown", "found": "cannot be seen while the engine is stopped"},
]
HOSTILE = "owned \x1b]0;title\x07\x1b[2J\u202egnp.exe\r\n[bold]not markup[/bold] :smile:"
SCENARIOS: dict[str, tuple[str, dict[str, list[dict[str, Any]]]]] = {
    "setup": ("setup", SETUP),
    "again": ("setup", {"docker_engine": [step("Look at the host"), step("Install Docker's packages")]}),
    "gate": (
        "setup",
        {
            "sysbox": [
                step(
                    "Pass the seccomp gate",
                    failure={
                        "msg": BOX,
                        "failure": "gate",
                        "hint": "set `networkingMode=nat` in .wslconfig, then `wsl --shutdown`",
                    },
                )
            ]
        },
    ),
    "failure": (
        "setup",
        {"lima_vm": [step(HOSTILE), step("Start the VM", failure={"msg": HOSTILE, "hint": "run `limactl start`"})]},
    ),
    "doctor": ("doctor", {"docker_engine": [step("Look at every part", findings=FINDINGS)]}),
    "uninstall": (
        "uninstall",
        {
            "docker_context": [
                step("Remove the context", changed=True, actions=[act("remove", "the context containai-secure")])
            ]
        },
    ),
}


def main() -> None:
    spec = importlib.util.spec_from_file_location("conftest", HERE / "conftest.py")
    assert spec
    assert spec.loader
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    from cai import events, runner

    for name, (command, roles) in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            sandbox = conftest.Sandbox(Path(folder))
            book = sandbox.content / "playbooks" / "linux.yml"
            book.write_text(json.dumps([{"hosts": "localhost", "roles": list(roles)}]))
            for role, tasks in roles.items():
                path = sandbox.content / "roles" / role
                (path / "tasks").mkdir(parents=True)
                (path / "library").symlink_to(sandbox.content / "roles" / "stub" / "library")
                (path / "tasks" / "main.yml").write_text(json.dumps(tasks))
            os.environ["CAI_CONTENT"] = str(sandbox.content)
            seen: list[Any] = []
            parse = events.parse
            events.parse = lambda event, seen=seen, parse=parse: (
                seen.append(json.loads(json.dumps(event))),
                parse(event),
            )[1]
            (sandbox.home / "run").mkdir()
            runner.run(runner.Job(command, "linux", book, sandbox.home / "run"), lambda _item: None)
            events.parse = parse
        lines = [json.dumps(slim(event, number), ensure_ascii=True) for number, event in enumerate(seen)]
        (HERE / "recorded" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def slim(event: dict[str, Any], number: int) -> dict[str, Any]:
    """Keep what does not differ from run to run, and make up the durations."""
    data = {key: value for key, value in (event.get("event_data") or {}).items() if key in KEPT}
    if (event.get("event") or "").startswith("runner_on_") and event["event"] != "runner_on_start":
        data["duration"] = number * 1.7
    stdout = re.sub(r"/\S*/content/", "/content/", event.get("stdout", ""))
    return {"event": event.get("event"), "stdout": stdout, "event_data": data}


if __name__ == "__main__":
    main()
