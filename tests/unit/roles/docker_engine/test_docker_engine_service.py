"""The engine is started, reloaded or restarted, whichever is the least; success means that it answered."""

from __future__ import annotations

import grp
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_engine_state

from tests.unit.roles.conftest import Commands, load_module, run_module

UNIT, HELPERS = "containai-docker.service", ["containai-network.service", "containai-containerd.service"]
WANTED = {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}
GOOD = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "MainPID": "0"}
# As particular as the original: an unknown unit is an error, and so is a job that fails.
SYSTEMCTL = """
import os
path = {path!r}
units = json.load(open(path))
verb, *rest = sys.argv[1:]
names = [word for word in rest if not word.startswith("-") and "," not in word]
if verb == "show":
    for key, value in units.get(names[0], {{"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": "", "MainPID": "0"}}).items():
        print(f"{{key}}={{value}}")
    sys.exit(0)
for name in names:
    if name not in units:
        sys.exit(f"Unit {{name}} not loaded.")
    if os.path.exists(path + ".broken") and verb in ("restart", "reload", "disable"):
        sys.exit(f"Job for {{name}} failed because the control process exited with error code.\\nSee more.")
    change = {{"restart": {{"ActiveState": "active"}}, "enable": {{"UnitFileState": "enabled"}}}}.get(verb, {{}})
    if verb == "disable":
        change = {{"UnitFileState": "disabled", "ActiveState": "inactive"}}
    units[name].update(change, last=verb)
json.dump(units, open(path, "w"))
"""


class Service:
    """systemd, and an engine that answers while its unit is active."""

    def __init__(self, tmp_path: Path, commands: Commands, engine: Any) -> None:
        self.path = tmp_path / "units.json"
        self.commands = commands
        self.write({name: dict(GOOD) for name in (UNIT, *HELPERS)})
        commands.add("systemctl", SYSTEMCTL.format(path=str(self.path)), python=True)
        self.info: dict[str, Any] | None = {"ServerVersion": "28.5.2", "Runtimes": {"runc": {"path": "runc"}, **WANTED}}
        self.knows_after = ""  # the verb after which the engine knows the runtime
        self.containers: list[dict[str, Any]] = []
        self.engine = engine({"/info": self.answer, "/containers/json": lambda: self.containers})
        self.parameters = {
            "unit": UNIT,
            "helpers": HELPERS,
            "socket": self.engine.path,
            "runtimes": WANTED,
            "timeout": 1,
        }

    @property
    def units(self) -> dict[str, dict[str, str]]:
        return json.loads(self.path.read_text())

    def write(self, units: dict[str, dict[str, str]]) -> None:
        self.path.write_text(json.dumps(units))

    def set(self, unit: str = UNIT, **state: str) -> None:
        self.write({**self.units, unit: {**self.units[unit], **state}})

    def answer(self) -> Any:
        unit = self.units[UNIT]
        if unit["ActiveState"] != "active" or self.info is None:
            return None
        if self.knows_after and unit.get("last") != self.knows_after:
            return {**self.info, "Runtimes": {"runc": {"path": "runc"}}}
        return self.info

    def changes(self) -> list[list[str]]:
        return [call for call in self.commands.of("systemctl") if call[0] != "show"]


@pytest.fixture
def module(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("docker_engine_service")
    monkeypatch.setattr(containai_engine_state, "PATH", commands.path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    commands.add("journalctl", "printf 'dockerd: \\033[31mfailed to start daemon\\033[0m\\n'")
    return loaded


@pytest.fixture
def service(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any) -> Service:
    return Service(tmp_path, commands, engine)


def test_an_engine_that_is_as_wanted_is_left_alone(module: ModuleType, service: Service) -> None:
    answer = run_module(module, **service.parameters)
    assert not answer["changed"]
    assert answer["actions"] == []
    assert answer["version"] == "28.5.2"
    assert service.changes() == []


@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_a_stopped_engine_is_started_with_its_helpers(module: ModuleType, service: Service, state: str) -> None:
    service.set(ActiveState=state, UnitFileState="disabled")
    answer = run_module(module, **service.parameters)
    assert answer.actions == [("enable", UNIT), ("start", UNIT)]
    assert service.changes() == [
        ["daemon-reload"],
        ["enable", UNIT],
        ["reset-failed", *HELPERS, UNIT],
        ["restart", *HELPERS, UNIT],
    ]
    assert not run_module(module, **service.parameters)["changed"]


def test_a_disabled_engine_is_enabled_and_not_restarted(module: ModuleType, service: Service) -> None:
    service.set(UnitFileState="disabled")
    assert run_module(module, **service.parameters).actions == [("enable", UNIT)]
    assert service.changes() == [["daemon-reload"], ["enable", UNIT]]


def test_a_missing_runtime_takes_a_reload_only(module: ModuleType, service: Service) -> None:
    service.knows_after = "reload"
    assert run_module(module, **service.parameters).actions == [("reload", UNIT)]
    assert service.changes() == [["daemon-reload"], ["reload", UNIT]]


def test_a_runtime_of_another_path_is_missing(module: ModuleType, service: Service) -> None:
    service.info["Runtimes"]["sysbox-runc"] = {"path": "/opt/sysbox-runc"}
    assert run_module(module, check_mode=True, **service.parameters).actions == [("reload", UNIT)]


def test_a_reload_that_was_not_taken_becomes_a_restart(module: ModuleType, service: Service) -> None:
    service.knows_after = "restart"
    assert run_module(module, **service.parameters)["changed"]
    assert [call[0] for call in service.changes() if call[0] in ("reload", "restart")] == ["reload", "restart"]


def test_a_dead_socket_takes_a_restart(module: ModuleType, service: Service) -> None:
    service.info, alive = None, service.info
    assert run_module(module, check_mode=True, **service.parameters).actions == [("restart", UNIT)]
    answer = run_module(module, **service.parameters)
    assert answer["failure"] == "failed"
    assert "does not answer" in answer["msg"]
    assert "failed to start daemon" in answer["msg"]
    assert "\x1b" not in answer["msg"]
    service.info = alive
    assert not run_module(module, **service.parameters)["changed"]


def test_check_mode_says_it_and_does_nothing(module: ModuleType, service: Service) -> None:
    service.set(ActiveState="inactive")
    before = service.units
    answer = run_module(module, check_mode=True, **service.parameters)
    assert answer.actions == [("start", UNIT)]
    assert service.units == before
    assert service.changes() == []
    assert run_module(module, **service.parameters)["actions"] == answer["actions"]


def test_check_mode_without_systemctl(module: ModuleType, service: Service, commands: Commands) -> None:
    (commands.folder / "systemctl").unlink()
    assert run_module(module, check_mode=True, **service.parameters).actions == [("enable", UNIT), ("start", UNIT)]


def test_a_unit_that_does_not_start_is_quoted(module: ModuleType, service: Service) -> None:
    service.set(ActiveState="failed")
    Path(f"{service.path}.broken").touch()
    answer = run_module(module, **service.parameters)
    assert "did not start: Job for containai-network.service failed" in answer["msg"]
    assert "See more" not in answer["msg"]
    assert f"`systemctl status {UNIT}`" in answer["hint"]


@pytest.fixture
def running() -> Any:
    """A process whose environment says which files it was started from."""
    processes = []

    def start(revision: str) -> str:
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"CONTAINAI_REVISION": revision},
        )
        child.stdout.readline()
        processes.append(child)
        return str(child.pid)

    yield start
    for child in processes:
        child.communicate(b"\n")


def test_an_engine_of_older_files_is_restarted(module: ModuleType, service: Service, running: Any) -> None:
    service.set(MainPID=running("old"))
    assert run_module(module, revision="new", check_mode=True, **service.parameters).actions == [("restart", UNIT)]
    service.set(MainPID=running("new"))
    assert run_module(module, revision="new", **service.parameters)["actions"] == []
    assert service.changes() == []


def test_an_engine_whose_environment_is_unknown_is_left(module: ModuleType, service: Service) -> None:
    service.set(MainPID="999999999")
    assert run_module(module, revision="new", **service.parameters)["actions"] == []


@pytest.fixture
def namespace(module: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine runs in the namespace that bears the name: here, in the test's own."""
    monkeypatch.setattr(containai_engine_state, "NETNS", "/proc/self/ns/net")
    service.set(MainPID=str(os.getpid()))


NETWORK = 'case $1 in check) [ -e {mark} ] || {{ echo "address of cai0 is missing"; echo more; exit 1; }};; up) : >{mark};; esac'


def test_a_broken_network_is_mended_without_a_restart(
    module: ModuleType, service: Service, namespace: None, commands: Commands, tmp_path: Path
) -> None:
    program = str(commands.add("network", NETWORK.format(mark=tmp_path / "up")))
    parameters = {**service.parameters, "check": [program, "check"]}
    plan = run_module(module, check_mode=True, **parameters)
    assert plan.actions == [("change", "network namespace: address of cai0 is missing")]
    assert ["up"] not in commands.of("network")
    assert run_module(module, **parameters).actions == plan.actions
    assert ["up"] in commands.of("network")
    assert service.changes() == []
    assert not run_module(module, **parameters)["changed"]


def test_an_engine_in_a_namespace_that_lost_its_name_is_restarted(
    module: ModuleType, service: Service, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = str(commands.add("network", "exit 0"))
    parameters = {**service.parameters, "check": [program, "check"]}
    service.set(MainPID=str(os.getpid()))
    for another in (tmp_path / "gone", tmp_path):
        monkeypatch.setattr(containai_engine_state, "NETNS", str(another))
        assert run_module(module, check_mode=True, **parameters).actions == [("restart", UNIT)]


def test_a_network_that_cannot_be_mended_is_said(module: ModuleType, service: Service, commands: Commands) -> None:
    program = str(commands.add("network", 'echo "RTNETLINK answers: File exists" >&2; exit 2'))
    answer = run_module(module, check_mode=False, **{**service.parameters, "check": [program, "check"]})
    assert "cannot be made: RTNETLINK answers: File exists" in answer["msg"]
    assert "`sudo /usr/local/libexec/containai/network up`" in answer["hint"]


def test_a_network_program_that_is_gone_is_a_broken_network(
    module: ModuleType, service: Service, namespace: None, tmp_path: Path
) -> None:
    parameters = {**service.parameters, "check": [str(tmp_path / "gone"), "check"]}
    ((verb, what),) = run_module(module, check_mode=True, **parameters).actions
    assert verb == "change"
    assert "gone: No such file" in what
    assert "cannot be made" in run_module(module, **parameters)["msg"]


def test_an_ordinary_user_does_not_judge_the_network(
    module: ModuleType, service: Service, namespace: None, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ip netns exec` fails for want of rights, which says nothing about the network."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program = str(commands.add("network", 'echo "network namespace containai is missing"; exit 1'))
    assert not run_module(module, check_mode=True, **{**service.parameters, "check": [program, "check"]})["changed"]


def test_a_socket_that_may_not_be_asked_is_no_dead_one(module: ModuleType, service: Service) -> None:
    monkey = os.getuid()
    if monkey == 0:
        pytest.skip("root may ask any socket")
    Path(service.engine.path).chmod(0)
    assert run_module(module, check_mode=True, **service.parameters)["actions"] == []


def test_stopping_disables_engine_and_helpers(module: ModuleType, service: Service) -> None:
    plan = run_module(module, check_mode=True, state="stopped", **service.parameters)
    assert service.changes() == []
    answer = run_module(module, state="stopped", **service.parameters)
    assert answer.actions == plan.actions == [("stop", UNIT), ("stop", HELPERS[1]), ("stop", HELPERS[0])]
    assert {unit["ActiveState"] for unit in service.units.values()} == {"inactive"}
    assert not run_module(module, state="stopped", **service.parameters)["changed"]


def test_stopping_is_refused_while_containers_run(module: ModuleType, service: Service) -> None:
    service.containers = [{"Id": "1", "Names": ["/agent"]}]
    answer = run_module(module, state="stopped", **service.parameters)
    assert answer["failure"] == "precondition"
    assert "agent" in answer["msg"]
    assert "`docker --context containai-secure stop agent`" in answer["hint"]
    assert service.changes() == []
    assert run_module(module, state="stopped", stop_containers=True, **service.parameters)["changed"]


def test_stopping_what_was_never_there_changes_nothing(module: ModuleType, service: Service) -> None:
    service.write({})
    service.info = None
    assert not run_module(module, state="stopped", **service.parameters)["changed"]
    assert service.changes() == []


def test_a_unit_that_does_not_stop_is_said(module: ModuleType, service: Service) -> None:
    Path(f"{service.path}.broken").touch()
    assert "did not stop: Job for" in run_module(module, state="stopped", **service.parameters)["msg"]


def report(module: ModuleType, service: Service, **more: Any) -> dict[str, tuple[str, str]]:
    before = service.units
    parameters = {key: value for key, value in service.parameters.items() if key != "runtimes"}
    answer = run_module(module, report=True, **parameters, **more)
    assert not answer["changed"]
    assert service.units == before
    assert service.changes() == []
    for finding in answer["findings"]:
        assert finding["status"] in {"pass", "warn", "fail", "unknown"}
        assert finding["status"] == "pass" or "`" in finding["hint"]
    return {finding["part"]: (finding["status"], finding["found"]) for finding in answer["findings"]}


def test_the_health_report_of_a_good_engine(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o660)
    group = grp.getgrgid(Path(service.engine.path).stat().st_gid).gr_name
    found = report(module, service, group=group)
    assert found["engine"] == ("pass", f"Docker 28.5.2 answers on {service.engine.path}")
    assert found["socket"][0] == "pass"


def test_the_health_report_of_bad_ones(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o600)
    assert report(module, service)["socket"][0] == "fail"
    service.set(UnitFileState="disabled")
    assert report(module, service)["engine"][0] == "warn"
    service.info = None
    assert report(module, service)["engine"] == (
        "fail",
        f"{UNIT} is active but does not answer on {service.engine.path}",
    )
    service.set(ActiveState="failed")
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is failed")
    service.write({})
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is not set up")


@pytest.mark.parametrize("script", ["exit 1", 'echo "iptables rule missing: x"; exit 1', "echo oops >&2; exit 3"])
def test_the_health_report_of_a_broken_network(
    module: ModuleType, service: Service, commands: Commands, script: str
) -> None:
    program = str(commands.add("network", script))
    answer = run_module(module, check_mode=False, **{**service.parameters, "check": [program, "check"], "report": True})
    (network,) = [finding for finding in answer["findings"] if finding["part"] == "network"]
    assert network["status"] == "fail"
    assert network["found"]


def test_a_socket_with_another_mode_is_put_right(module: ModuleType, service: Service) -> None:
    path = Path(service.engine.path)
    parameters = {**service.parameters, "group": grp.getgrgid(os.getgid()).gr_name}
    path.chmod(0o666)
    plan = run_module(module, check_mode=True, **parameters)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    answer = run_module(module, **parameters)
    assert plan.actions == answer.actions == [("change", f"{path}: mode 0660, group {parameters['group']}")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert service.changes() == []
    assert not run_module(module, **parameters)["changed"]
