"""lima_vm_engine: a proof is a proof only when the container is seen to be isolated, through the context and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

Call = Callable[..., dict[str, Any]]

DOCKER = (
    f"#!{sys.executable} -IS"
    + """
import json, os, pathlib, sys
here = pathlib.Path(sys.argv[0]).parent
conf = json.loads((here / "conf.json").read_text())
data = sys.stdin.buffer.read()
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([*sys.argv[1:], sorted(key for key in os.environ if key.startswith("DOCKER_")), len(data)]) + "\\n")
what = sys.argv[3]
if what == conf.get("fails"):
    sys.stderr.write("docker: Error response from daemon: told to\\n")
    raise SystemExit(125)
if what == "info":
    print(json.dumps({"Runtimes": conf["runtimes"], "DefaultRuntime": conf.get("default", "runc"), "ServerVersion": "29.1"}))
if what == "run":
    print(conf["map"])
    print("36 35 98:0 / " + conf["mount"])
"""
)
GOOD = {
    "runtimes": {"runc": {}, "sysbox-runc": {}},
    "map": "         0     165536      65536",
    "mount": "/proc/sys rw - fuse sysboxfs rw",
}


@pytest.fixture
def engine(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "ssh").write_text(
        "#!/bin/sh\n[ -e \"${0%/*}/unreachable\" ] && { echo 'Connection refused' >&2; exit 255; }\nprintf tar\n"
    )
    for name in ("docker", "ssh"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")

    def call(check: bool = False, **changes: Any) -> dict[str, Any]:
        (tmp_path / "conf.json").write_text(json.dumps({**GOOD, **changes}))
        return run(
            "lima_vm_engine",
            check,
            docker=str(tmp_path / "docker"),
            context="containai-secure",
            ssh_config="/c",
            name="x",
        )

    return call


def calls(tmp_path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def test_an_isolated_container_is_the_proof(engine: Call, tmp_path: Path) -> None:
    result = engine()
    assert (result["changed"], result["uid_map"], result["version"]) == (False, "0 165536 65536", "29.1")
    made = calls(tmp_path)
    assert [call[2] for call in made] == ["info", "import", "run", "rm", "image"]
    assert all(call[:2] == ["--context", "containai-secure"] and call[-2] == [] for call in made)
    assert made[1][-1] == 3


def test_check_mode_runs_nothing(engine: Call, tmp_path: Path) -> None:
    assert engine(check=True)["changed"] is False
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"map": "0 0 4294967295"}, "not isolated"),
        ({"mount": "/proc/sys ro - proc proc rw"}, "not isolated"),
        ({"runtimes": {"runc": {}}}, "does not know the runtime sysbox-runc"),
        ({"fails": "info"}, "told to"),
        ({"fails": "import"}, "told to"),
    ],
)
def test_what_is_no_proof_fails(engine: Call, changes: dict[str, Any], text: str) -> None:
    result = engine(**changes)
    assert (result["failed"], result["failure"]) == (True, "failed")
    assert text in result["msg"]
    assert "`" in result["hint"]


def test_a_failed_container_leaves_nothing(engine: Call, tmp_path: Path) -> None:
    assert engine(fails="run")["failed"] is True
    assert [call[2] for call in calls(tmp_path)][-2:] == ["rm", "image"]


def test_an_unreachable_vm(engine: Call, tmp_path: Path) -> None:
    (tmp_path / "unreachable").touch()
    assert "cannot be reached over ssh" in engine()["msg"]


def test_a_default_runtime_of_somebody_is_pointed_out(engine: Call) -> None:
    assert "default runtime" in "".join(engine(default="sysbox-runc")["warnings"])
