"""Isolation is shown by what two containers see of themselves, or it was not shown."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils import containai_sysbox_proof
from ansible.module_utils.containai_sysbox_advisories import weaknesses
from ansible.module_utils.containai_sysbox_health import of_port, of_trials, plain_containers

from tests.unit.roles.conftest import ROLES, Commands, load_module, run_module

OWN, WHOLE = "0 231072 65536", "         0          0 4294967295"
FUSE = "700 650 0:60 / /proc/sys rw - fuse sysboxfs rw,user_id=0"
PLAIN = "700 650 0:60 / /proc rw - proc proc rw"
INFO = {"Runtimes": {"runc": {}, "sysbox-runc": {}}, "DefaultRuntime": "runc"}
# Reads the image as the original does; what a container prints is in a file named by its runtime.
DOCKER = """
import os, tarfile
if os.environ.get("DOCKER_HOST") != {host!r} or "DOCKER_CONTEXT" in os.environ:
    sys.exit("asked another engine")
argv = sys.argv[1:]
if argv[0] == "import":
    names = tarfile.open(fileobj=sys.stdin.buffer, mode="r|").getnames()
    if os.path.exists({folder!r} + "/full"):
        sys.exit("write error: no space left on device")
    sys.exit(0 if {{"bin/cat", "bin/perl"}} <= {{*names}} else "no program in it")
if argv[0] == "run":
    runtime = argv[argv.index("--runtime") + 1]
    if "--detach" in argv:
        sys.exit()
    text = open({folder!r} + "/" + runtime).read()
    if text.startswith("error:"):
        sys.exit("docker: Error response from daemon:\\n" + text + "\\n\\nRun 'docker run --help' for more information")
    print(text)
"""


class Docker:
    def __init__(self, folder: Path, commands: Commands, engine: Any) -> None:
        self.folder, self.commands = folder, commands
        self.answers: dict[str, Any] = {"/info": dict(INFO)}
        self.socket = engine(self.answers).path
        commands.link("cat", "ldd", "perl")
        commands.add("docker", DOCKER.format(host=f"unix://{self.socket}", folder=str(folder)), python=True)
        self.prints("sysbox-runc", f"{OWN}\n{FUSE}")
        self.prints("runc", f"{WHOLE}\n{PLAIN}")

    def prints(self, runtime: str, text: str) -> None:
        (self.folder / runtime).write_text(text)

    def left(self) -> set[str]:
        """What was made and not removed again."""
        made = {call[2] for call in self.commands.of("docker") if call[0] == "import"}
        return made - {call[-1] for call in self.commands.of("docker") if call[:2] == ["image", "rm"]}


@pytest.fixture
def module(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("sysbox_isolation")
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", f"{commands.path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:1")
    monkeypatch.setenv("DOCKER_CONTEXT", "somebody-elses")
    return loaded


@pytest.fixture
def docker(module: ModuleType, tmp_path: Path, commands: Commands, engine: Any) -> Docker:
    if not Path("/usr/bin/ldd").exists():
        pytest.skip("there is no ldd, which the image is made with")
    return Docker(tmp_path, commands, engine)


def test_an_isolated_container(module: ModuleType, docker: Docker) -> None:
    answer = run_module(module, socket=docker.socket)
    assert not answer["changed"]
    assert answer["isolated"] is True
    assert answer["uid_map"] == OWN
    assert answer.warned == ""
    assert docker.left() == set()
    runs = [call for call in docker.commands.of("docker") if call[0] == "run"]
    assert sorted(call[call.index("--runtime") + 1] for call in runs) == ["runc", "sysbox-runc"]  # side by side
    assert all({"--rm", "--network"} <= set(call) and "--privileged" not in call for call in runs)


def test_check_mode_runs_nothing(module: ModuleType, docker: Docker) -> None:
    assert run_module(module, check_mode=True, socket=docker.socket)["isolated"] is False
    assert docker.commands.calls == []


def test_a_report_in_check_mode_runs_nothing(docker: Docker) -> None:
    (finding,) = of_trials(docker.socket, ready=True, check_mode=True)
    assert finding["status"] == "unknown"
    assert "check mode" in finding["found"]
    assert docker.commands.calls == []


def test_the_cause_in_sysbox_fss_journal_wins_over_dockers_words(
    module: ModuleType, docker: Docker, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.prints("sysbox-runc", "error: failed to pre-register with sysbox-fs: rpc error: code = DeadlineExceeded")
    commands.add("journalctl", "echo 'mount helper error: fusermount3: mount failed: Permission denied'")
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", f"{commands.path}:/usr/bin:/bin")
    answer = run_module(module, socket=docker.socket)
    assert "DeadlineExceeded" in answer["msg"]
    assert "/etc/apparmor.d/local/fusermount3" in answer["hint"]
    (asked,) = commands.of("journalctl")
    assert {"--unit=sysbox-fs", "--unit=sysbox-mgr"} <= set(asked)


NOT_ISOLATED = {
    "the whole map": (("sysbox-runc", f"{WHOLE}\n{FUSE}"), "uid map 0 0 4294967295"),
    "no sysbox-fs": (("sysbox-runc", f"{OWN}\n{PLAIN}"), "no file system of sysbox-fs"),
    "the same map as runc": (("runc", f"{OWN}\n{PLAIN}"), "as one under runc has"),
    "no map": (("sysbox-runc", FUSE), "it is not isolated"),
    "seccomp": (("sysbox-runc", "error: loading seccomp notification rules: device or resource busy"), "device or resource busy"),
    "time namespace": (("sysbox-runc", 'error: namespace {"time" ""} does not exist'), "does not exist"),
    "user namespace": (("sysbox-runc", "error: OCI runtime create failed: failed to unshare user namespace"), "unshare user namespace"),
    "fusermount": (("sysbox-runc", "error: failed to pre-register with sysbox-fs: Initialization error"), "pre-register"),
    "AppArmor": (("sysbox-runc", "error: fusermount3: mount failed: Permission denied"), "fusermount3"),
}  # fmt: skip


@pytest.mark.parametrize(("prints", "said"), NOT_ISOLATED.values(), ids=NOT_ISOLATED.keys())
def test_what_is_not_isolated_fails(module: ModuleType, docker: Docker, prints: tuple[str, str], said: str) -> None:
    docker.prints(*prints)
    answer = run_module(module, socket=docker.socket)
    assert answer["failure"] == "failed"
    assert answer["isolated"] is False
    assert said in answer["msg"]
    assert "`" in answer["hint"]
    assert docker.left() == set()


def test_under_force_it_is_a_warning_with_the_remedy(module: ModuleType, docker: Docker) -> None:
    docker.prints("sysbox-runc", "error: seccomp: device or resource busy")
    answer = run_module(module, socket=docker.socket, warn_only=True)
    assert not answer.get("failed")
    assert answer["isolated"] is False
    assert "device or resource busy" in answer.warned
    assert "networkingMode=nat" in answer.warned
    assert [one["status"] for one in answer["findings"]] == ["fail"]  # so that the end does not say "ready"


def test_an_image_that_cannot_be_made(module: ModuleType, docker: Docker) -> None:
    (docker.folder / "full").touch()
    answer = run_module(module, socket=docker.socket)
    assert "no space left on device" in answer["msg"]
    assert "`df -h /var/lib`" in answer["hint"]


def test_an_engine_that_does_not_answer(module: ModuleType, docker: Docker, tmp_path: Path) -> None:
    assert "does not answer" in run_module(module, socket=str(tmp_path / "none.sock"))["msg"]


def test_an_engine_without_the_runtime(module: ModuleType, docker: Docker) -> None:
    docker.answers["/info"]["Runtimes"] = {"runc": {}}
    assert "does not know the runtime sysbox-runc" in run_module(module, socket=docker.socket)["msg"]


def test_sysbox_as_default_runtime_is_a_warning(module: ModuleType, docker: Docker) -> None:
    docker.answers["/info"]["DefaultRuntime"] = "sysbox-runc"
    assert "default runtime" in run_module(module, socket=docker.socket).warned


def test_a_container_that_hangs_is_given_up(
    module: ModuleType, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.commands.add("docker", "exec 2>/dev/null; while :; do :; done")
    monkeypatch.setattr(containai_sysbox_proof, "RUN_SECONDS", 0.3)
    answer = run_module(module, socket=docker.socket)
    assert "did not end within" in answer["msg"]


def test_no_docker_cli(module: ModuleType, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    (docker.commands.folder / "docker").unlink()
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", docker.commands.path)
    if Path("/usr/bin/docker.containai").exists():
        pytest.skip("this machine has a docker CLI that was set aside")
    answer = run_module(module, socket=docker.socket)
    assert "no docker CLI" in answer["msg"]


@pytest.mark.parametrize(("ready", "status"), [(True, "pass"), (False, "unknown")])
def test_the_health_report(docker: Docker, monkeypatch: pytest.MonkeyPatch, ready: bool, status: str) -> None:
    monkeypatch.setattr(containai_sysbox_proof, "ANSWER_SECONDS", 0.1)
    assert of_trials(docker.socket, ready, check_mode=False)[0]["status"] == status
    docker.prints("sysbox-runc", f"{WHOLE}\n{FUSE}")
    (found,) = of_trials(docker.socket, ready, check_mode=False)
    assert found["status"] == ("fail" if ready else "unknown")


@pytest.mark.parametrize("listens", [True, False])
def test_a_published_port_is_tried(docker: Docker, monkeypatch: pytest.MonkeyPatch, listens: bool) -> None:
    """The program that a container would run listens here, with nothing between it and the port."""
    monkeypatch.setattr(containai_sysbox_proof, "ANSWER_SECONDS", 30 if listens else 0.3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = containai_sysbox_proof.SERVER.replace(f",{containai_sysbox_proof.PORT},", f",{port},")
    container = subprocess.Popen(["perl", "-e", program if listens else "sleep 60"])
    ports = {f"{containai_sysbox_proof.PORT}/tcp": [{"HostPort": str(port)}]}
    docker.answers["/containers/one-port/json"] = lambda: (
        {"NetworkSettings": {"Ports": ports}} if container.poll() is None else None
    )
    finding = of_port(docker.socket, "one")
    assert (finding["part"], finding["status"]) == ("published port", "pass" if listens else "fail")
    assert str(port) in finding["found"]
    (run, *rest) = docker.commands.of("docker")
    assert run[:3] == ["run", "--detach", "--rm"]
    assert f"127.0.0.1::{containai_sysbox_proof.PORT}" in run
    assert rest == ([] if listens else [["rm", "--force", "one-port"]])
    container.kill()
    container.wait()


def test_the_health_report_names_the_containers_that_are_not_under_sysbox(docker: Docker) -> None:
    docker.answers["/containers/json"] = [{"Id": "a"}, {"Id": "b"}, {"Id": "gone"}]
    for identity, name, runtime in (("a", "web", "sysbox-runc"), ("b", "old", "runc")):
        docker.answers[f"/containers/{identity}/json"] = {"Name": f"/{name}", "HostConfig": {"Runtime": runtime}}
    (finding,) = plain_containers(docker.socket)
    assert (finding["part"], finding["status"]) == ("containers", "warn")
    assert finding["found"].endswith(": old")
    assert "`cai run`" in finding["hint"]


def test_the_image_runs(needs_root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program and libraries are enough: cat works with that folder as its root."""
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", "/usr/bin:/bin")
    with tarfile.open(fileobj=io.BytesIO(containai_sysbox_proof.image())) as tar:
        tar.extractall(tmp_path / "root", filter="fully_trusted")
    (tmp_path / "root" / "etc" / "greeting").write_text("hello\n")
    script = "import os, sys; os.chroot(sys.argv[1]); os.execv('/bin/cat', ['cat', '/etc/greeting'])"
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "root")], capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in result.stderr:
        pytest.skip("chroot is not allowed here")
    assert (result.stdout, result.returncode) == ("hello\n", 0)


ADVISORIES = [
    {"version": "0.6.7", "fixed_in": "0.7.0", "what": "an old hole", "source": "https://example.org/0.7.0"},
    {"version": "0.7.1", "fixed_in": "0.7.2", "what": "a new hole", "source": "https://example.org/0.7.2"},
]
# The installed version, the versions whose checksums are known -> what is told, and the command.
WEAK = {
    "0.7.1": (["0.7.1"], ["a new hole"], "sysbox_version=0.7.2 -e 'sysbox_sha256={"),
    "0.6.7": (["0.7.1"], ["an old hole", "a new hole"], "sysbox_version=0.7.2 -e 'sysbox_sha256={"),
    "0.7.0": (["0.7.1", "0.7.2"], ["a new hole"], "`cai setup -e sysbox_version=0.7.2`"),
    "0.7.2": ([], [], ""),
    "0.10.0": ([], [], ""),
}


@pytest.mark.parametrize(("version", "rest"), WEAK.items(), ids=WEAK.keys())
def test_a_known_weakness_of_the_installed_sysbox_is_told_with_the_way_out(
    module: ModuleType, docker: Docker, monkeypatch: pytest.MonkeyPatch, version: str, rest: Any
) -> None:
    known, told, command = rest
    docker.commands.link("dpkg")
    docker.commands.add("dpkg-query", f"printf '{version}.linux\\tinstall ok installed'")
    more = {"socket": docker.socket, "advisories": ADVISORIES, "known": known}
    answer, planned = run_module(module, **more), run_module(module, check_mode=True, **more)
    report = weaknesses(ADVISORIES, known)
    assert planned.warned == answer.warned
    for text in (answer.warned, *(f"{one['found']} {one['hint']}" for one in report)):
        assert [word for word in ("an old hole", "a new hole") if word in text] == told
        assert command in text
    assert [one["status"] for one in report] == ["warn"] * bool(told)
    assert ("https://example.org/0.7.2, then run" in answer.warned) == (bool(told) and "0.7.2" not in known)


def test_no_weakness_is_told_of_a_sysbox_that_is_not_there(module: ModuleType, docker: Docker) -> None:
    docker.commands.add("dpkg-query", "exit 1")
    answer = run_module(module, check_mode=True, socket=docker.socket, advisories=ADVISORIES)
    assert answer.warned == ""


def test_the_roles_own_advisories_are_whole_and_the_pinned_version_is_known() -> None:
    variables = yaml.safe_load((ROLES / "sysbox/vars/main.yml").read_text())
    pinned = yaml.safe_load((ROLES / "sysbox/defaults/main.yml").read_text())["sysbox_version"]
    assert set(variables["__sysbox_known_sha256"][pinned]) == {"amd64", "arm64"}
    for advisory in variables["__sysbox_advisories"]:
        assert set(advisory) == {"version", "fixed_in", "what", "source"}
        assert advisory["source"].startswith("https://github.com/nestybox/sysbox/")
        assert "\n" not in advisory["what"]
