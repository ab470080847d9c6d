"""The package is the pinned one or none; it is installed in a shadow of /etc/docker; live containers stop an upgrade."""

from __future__ import annotations

import gc
import hashlib
import http.server
import json
import os
import threading
import urllib.request
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_deb as deb
from ansible.module_utils import containai_sysbox_host as sysbox_host

from tests.unit.roles.conftest import Commands, load_module, run_module

# dpkg and apt with one package: its version is in a file, a .deb is three lines of fields.
DPKG_QUERY = """
case "$*" in
*sysbox-ce) [ -e {there} ] || {{ echo "no packages found" >&2; exit 1; }}; read -r version status <{there}; printf '%s\\t%s' "$version" "$status";;
*) echo "ii libc6"; [ ! -e {there} ] || echo "ii sysbox-ce"; [ ! -e {there} ] || echo "ii fuse3";;
esac"""
DPKG_DEB = 'cat "$2"'
DPKG = """[ "$1" = --compare-versions ] || exit 0
for name; do :; done
a=$2 b=$4; while [ -n "$a$b" ]; do x=${a%%.*} y=${b%%.*}; [ "${x:-0}" -eq "${y:-0}" ] || { [ "${x:-0}" -gt "${y:-0}" ]; exit; }
case $a in *.*) a=${a#*.};; *) a=;; esac; case $b in *.*) b=${b#*.};; *) b=;; esac; done; exit 1"""
UNSHARE = (
    'while [ "$1" != -ec ]; do shift; done; shift 2; scratch=$1; cp "$scratch/daemon.json" {kept}; shift 2; exec "$@"'
)
APT = """
case " $* " in
*" update "*) exit 0;;
*" purge "*) rm -f {there}; exit 0;;
esac
[ ! -e {broken} ] || {{ echo "E: dpkg was interrupted" >&2; exit 100; }}
for word; do :; done
while read -r key value; do [ "$key" != Version: ] || printf '%s install ok installed\\n' "$value" >{there}; done <"$word"
: >{active}"""
SYSTEMCTL = """
case $1 in
is-active) [ -e {active} ];;
restart|start) [ ! -e {stuck} ] || exit 1; : >{active};;
stop) rm -f {active};;
esac"""


def package(version: str = "0.7.1", architecture: str = "amd64", name: str = "sysbox-ce") -> bytes:
    return f"Package: {name}\nVersion: {version}.linux\nArchitecture: {architecture}\n".encode()


class Host:
    """dpkg, apt, systemd and the folders of a host, all below one folder."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands = folder, commands
        self.there, self.active, self.broken, self.stuck = (
            folder / name for name in ("there", "active", "broken", "stuck")
        )
        self.shadow = folder / "shadow.json"
        places = {
            "there": self.there,
            "active": self.active,
            "broken": self.broken,
            "stuck": self.stuck,
            "kept": self.shadow,
        }
        commands.link("cat", "cp", "rm")
        commands.add("dpkg-query", DPKG_QUERY.format(**places))
        commands.add("dpkg-deb", DPKG_DEB)
        commands.add("dpkg", DPKG)
        commands.add("unshare", UNSHARE.format(**places))
        commands.add("apt-get", APT.format(**places))
        commands.add("systemctl", SYSTEMCTL.format(**places))

    def has(self, version: str, status: str = "install ok installed") -> None:
        self.there.write_text(f"{version}.linux {status}\n")
        self.active.touch()

    @property
    def version(self) -> str | None:
        return self.there.read_text().split()[0] if self.there.exists() else None

    def changes(self) -> list[list[str]]:
        quiet = {"dpkg-query", "dpkg-deb"}
        return [
            call
            for call in self.commands.calls
            if call[0] not in quiet and call[1] not in ("--compare-versions", "is-active")
        ]


@pytest.fixture
def module(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("sysbox_package")
    for one in (sysbox_host, deb):
        monkeypatch.setattr(one, "PATH", commands.path)
    for name, place in {
        "DROP_IN": "units/sysbox-mgr.service.d/10-containai.conf",
        "DOWNLOADS": "state/downloads",
        "OTHER_SOCKET": "none.sock",
    }.items():
        monkeypatch.setattr(loaded, name, str(tmp_path / place))
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(deb, "DOCKER_SETTINGS", str(tmp_path / "etc-docker"))
    monkeypatch.setattr(deb, "SCRATCH", str(tmp_path / "run"))
    monkeypatch.setattr(deb, "PROGRAMS", (str(tmp_path / "sysbox-runc"),))
    (tmp_path / "sysbox-runc").touch()
    monkeypatch.setattr(sysbox_host, "SUBIDS", (str(tmp_path / "subuid"), str(tmp_path / "subgid")))
    return loaded


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands) -> Host:
    return Host(tmp_path, commands)


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "sysbox.deb"
    file.write_bytes(package())
    return {
        "version": "0.7.1", "source": str(file), "sha256": {"amd64": hashlib.sha256(package()).hexdigest()}, "architecture": "amd64",
        "socket": str(tmp_path / "ours.sock"),
    }  # fmt: skip


def test_it_is_installed(module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, recorded) -> None:
    plan = run_module(module, check_mode=True, **parameters)
    assert host.changes() == []
    assert not (tmp_path / "units").exists()
    assert not (tmp_path / "state").exists()
    answer = run_module(module, **parameters)
    assert answer["changed"]
    assert answer.actions == plan.actions == [("create", module.DROP_IN), ("install", "Sysbox 0.7.1")]
    assert answer["diff"] == plan["diff"]
    assert host.version == "0.7.1.linux"
    assert Path(module.DROP_IN).read_text().splitlines()[-1] == f"Environment=DOCKER_HOST=unix://{tmp_path}/ours.sock"
    assert recorded()["packages"] == ["fuse3", "sysbox-ce"]
    assert recorded()["installing"] == {}
    assert list(Path(module.DOWNLOADS).iterdir()) == []  # the package is not needed any more
    assert list((tmp_path / "run").iterdir()) == []


def test_the_packages_scripts_see_a_daemon_json_that_leaves_them_nothing_to_do(
    module: ModuleType, host: Host, parameters: dict[str, Any]
) -> None:
    run_module(module, **parameters)
    text = host.shadow.read_text()
    for line in (
        '    "bip": "172.20.0.1/16"',
        '    "default-address-pools": [',
    ):  # what the package greps for, four spaces deep
        assert line in text
    assert json.loads(text)["runtimes"]["sysbox-runc"] == {"path": "/usr/bin/sysbox-runc"}
    (call,) = [call for call in host.commands.of("unshare") if "install" in call]
    assert call[:3] == ["--mount", "--propagation", "private"]
    assert {"fuse3", "kmod"} <= set(call)
    assert "fuse" not in call


def test_a_second_time_changes_nothing(module: ModuleType, host: Host, parameters: dict[str, Any], recorded) -> None:
    run_module(module, **parameters)
    before, calls = recorded(), len(host.changes())
    answer = run_module(module, **parameters)
    assert not answer["changed"]
    assert answer["version"] == "0.7.1"
    assert host.changes()[calls:] == []
    assert recorded() == before


def test_a_drifted_drop_in_is_put_right(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    Path(module.DROP_IN).write_text("[Service]\n")
    answer = run_module(module, **parameters)
    assert answer.actions == [("change", module.DROP_IN)]
    assert ["systemctl", "daemon-reload"] in host.changes()
    assert host.changes()[-1] == ["systemctl", "restart", "sysbox.service"]


def test_stopped_services_are_started(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.active.unlink()
    answer = run_module(module, **parameters)
    assert answer.actions == [("start", " ".join(module.UNITS))]
    assert host.active.exists()


def test_services_that_do_not_start_are_said(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    host.active.unlink()
    host.stuck.touch()
    answer = run_module(module, **parameters)
    assert "sysbox-mgr.service" in answer["msg"]
    assert "`systemctl status sysbox-mgr sysbox-fs`" in answer["hint"]


DECISIONS = [
    (None, True, False, "install", False),
    ("0.7.1", True, False, None, False),
    ("0.7.0", True, False, "upgrade", False),
    ("0.6.7", True, False, "upgrade", False),
    ("0.7.1", False, False, "repair", False),
    ("0.8.0", True, False, None, True),
    ("0.10.0", True, False, None, True),
    ("0.8.0", True, True, "downgrade", False),
]


@pytest.mark.parametrize(("current", "finished", "downgrade", "step", "warned"), DECISIONS)
def test_the_decision(
    module: ModuleType, host: Host, current: str | None, finished: bool, downgrade: bool, step: str | None, warned: bool
) -> None:
    decided, warning = module.decide({"version": "0.7.1", "downgrade": downgrade}, current, finished)
    assert decided == step
    assert bool(warning) == warned


@pytest.mark.parametrize(
    ("text", "version"),
    [("0.7.1.linux", "0.7.1"), ("0.6.4-0.linux", "0.6.4"), ("0.7.1", "0.7.1"), ("0.7.1-0", "0.7.1"), ("", "")],
)
def test_dpkgs_version(text: str, version: str) -> None:
    assert deb.plain_version(text) == version


def test_an_upgrade(module: ModuleType, host: Host, parameters: dict[str, Any], recorded) -> None:
    host.has("0.7.0")
    answer = run_module(module, **parameters)
    assert ("change", "Sysbox 0.7.1 (upgrade of 0.7.0)") in answer.actions
    assert host.version == "0.7.1.linux"
    assert "packages" not in recorded()  # it was there before: not ours to take away


def test_a_newer_one_stays(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.8.0")
    answer = run_module(module, **parameters)
    assert "sysbox_downgrade" in answer.warned
    assert host.version == "0.8.0.linux"


def test_a_half_installed_one_is_repaired(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.7.1", "install ok half-configured")
    answer = run_module(module, **parameters)
    assert ("change", "Sysbox 0.7.1 (repair of 0.7.1)") in answer.actions
    assert host.there.read_text().endswith("install ok installed\n")


def test_one_that_was_purged_is_not_there(module: ModuleType, host: Host) -> None:
    host.has("0.7.0", "deinstall ok config-files")
    assert deb.installed() == (None, True)


LIVE = {
    "/containers/json": [{"Id": "s1"}, {"Id": "p1"}],
    "/containers/s1/json": {"Name": "/agent-1", "HostConfig": {"Runtime": "sysbox-runc"}},
    "/containers/p1/json": {"Name": "/plain", "HostConfig": {"Runtime": "runc"}},
}


@pytest.mark.parametrize("whose", ["ours", "another engine's"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_live_containers_stop_an_upgrade(
    module: ModuleType,
    host: Host,
    parameters: dict[str, Any],
    engine,
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
    check_mode: bool,
) -> None:
    host.has("0.7.0")
    live = engine(LIVE).path
    if whose == "ours":
        parameters["socket"] = live
    else:
        monkeypatch.setattr(module, "OTHER_SOCKET", live)
    answer = run_module(module, check_mode=check_mode, **parameters)
    assert answer["failure"] == "precondition"
    assert "agent-1" in answer["msg"]
    assert "plain" not in answer["msg"]
    assert "stop agent-1`" in answer["hint"]
    assert host.changes() == []
    assert host.version == "0.7.0.linux"


def test_live_containers_do_not_stop_who_says_so(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine
) -> None:
    host.has("0.7.0")
    parameters["socket"] = engine(LIVE).path
    run_module(module, restart_containers=True, **parameters)
    assert host.version == "0.7.1.linux"


def test_live_containers_do_not_stop_a_run_that_has_nothing_to_replace(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine
) -> None:
    parameters["socket"] = engine(LIVE).path
    run_module(module, **parameters)
    Path(module.DROP_IN).write_text("")
    calls = len(host.changes())
    assert run_module(module, **parameters)["changed"]
    assert ["systemctl", "restart", "sysbox.service"] not in host.changes()[calls:]  # it would break them


def test_a_dry_run_without_the_right_to_ask_goes_on(
    module: ModuleType, host: Host, parameters: dict[str, Any], engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.has("0.7.0")
    parameters["socket"] = engine({}).path

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sysbox_host, "ask", refuse)  # root may ask any socket, so the kernel does not refuse it here
    assert ("change", "Sysbox 0.7.1 (upgrade of 0.7.0)") in run_module(module, check_mode=True, **parameters).actions


def test_a_program_that_is_gone_brings_the_package_again(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    run_module(module, **parameters)
    (tmp_path / "sysbox-runc").unlink()
    (finding, *_) = run_module(module, report=True, **parameters)["findings"]
    assert (finding["status"], finding["found"]) == ("fail", "Sysbox 0.7.1, incomplete; 0.7.1 is needed")
    assert ("change", "Sysbox 0.7.1 (repair of 0.7.1)") in run_module(module, **parameters).actions


@pytest.mark.parametrize("check_mode", [True, False])
def test_no_checksum_no_package(module: ModuleType, host: Host, parameters: dict[str, Any], check_mode: bool) -> None:
    answer = run_module(module, check_mode=check_mode, **{**parameters, "architecture": "arm64"})
    assert answer["failure"] == "precondition"
    assert "arm64" in answer["msg"]
    assert "sysbox_sha256" in answer["hint"]
    assert host.changes() == []


@pytest.mark.parametrize(
    "data", [package("0.7.0"), package(architecture="arm64"), package(name="sysbox-ee"), b"no package"]
)
def test_another_package_is_refused_before_any_change(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, data: bytes
) -> None:
    Path(parameters["source"]).write_bytes(data)
    parameters["sha256"] = {"amd64": hashlib.sha256(data).hexdigest()}
    answer = run_module(module, **parameters)
    assert answer["failure"] == "precondition"
    assert "sysbox-ce 0.7.1 for amd64 is needed" in answer["msg"]
    assert host.changes() == []
    assert not (tmp_path / "units").exists()


def test_apts_word_is_passed_on_and_apt_left_able_to_work(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    host.broken.touch()
    answer = run_module(module, **parameters)
    assert "E: dpkg was interrupted" in answer["msg"]
    assert "`sudo apt-get" in answer["hint"]
    assert ["dpkg", "--configure", "-a"] in host.commands.calls
    assert list((tmp_path / "run").iterdir()) == []
    host.broken.unlink()
    assert run_module(module, **parameters)["changed"]
    assert host.version == "0.7.1.linux"


def test_a_run_killed_after_dpkg_is_settled_by_the_next(
    module: ModuleType, host: Host, parameters: dict[str, Any], recorded, state: Path
) -> None:
    run_module(module, **parameters)
    data = recorded()
    del data["packages"]
    data["installing"] = {"sysbox": {"packages": ["libc6"], "groups": [], "users": []}}
    (state / "record.json").write_text(json.dumps(data))
    run_module(module, check_mode=True, **parameters)
    assert recorded()["installing"]
    run_module(module, **parameters)
    assert recorded()["packages"] == ["fuse3", "sysbox-ce"]
    assert recorded()["installing"] == {}
    assert not run_module(module, **parameters)["changed"]


def test_two_lines_of_ids_become_one(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "subuid").write_text("dev:100000:65536\nsysbox:165536:65536\nsysbox:231072:65536\n")
    (tmp_path / "subgid").write_text("sysbox:165536:65536\ndev:100000:65536\n")
    run_module(module, **parameters)
    assert sorted((tmp_path / "subuid").read_text().splitlines()) == ["dev:100000:65536", "sysbox:165536:65536"]
    assert (tmp_path / "subgid").read_text() == "sysbox:165536:65536\ndev:100000:65536\n"


def test_ours_is_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    run_module(module, **parameters)
    assert run_module(module, check_mode=True, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version
    assert run_module(module, state="absent", **parameters).actions == [("remove", "Sysbox 0.7.1")]
    assert host.version is None
    assert [call for call in host.commands.of("unshare") if "purge" in call]  # its purge edits daemon.json, too
    assert not run_module(module, state="absent", **parameters)["changed"]


def test_one_that_was_there_before_is_not_removed(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    host.has("0.7.1")
    run_module(module, **parameters)
    answer = run_module(module, state="absent", **parameters)
    assert not answer["changed"]
    assert answer.actions[0][0] == "leave"
    assert host.version


def test_the_health_report(module: ModuleType, host: Host, parameters: dict[str, Any]) -> None:
    def statuses() -> list[str]:
        answer = run_module(module, report=True, **parameters)
        assert all(one["status"] == "pass" or "`" in one["hint"] for one in answer["findings"])
        return [one["status"] for one in answer["findings"]]

    assert statuses() == ["fail"]
    host.has("0.7.0")
    assert statuses() == ["fail", "pass"]
    host.has("0.7.1")
    assert statuses() == ["pass", "pass"]
    host.active.unlink()
    assert statuses() == ["pass", "fail"]
    assert host.changes() == []


# Getting the file


class Server:
    """A server with every bad manner there is."""

    def __init__(self, data: bytes) -> None:
        outer = self
        self.asked: list[str] = []
        self.done = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                manner = self.path.strip("/")
                if manner == "loop":
                    self.send_response(302)
                    self.send_header("Location", "/loop")
                    self.end_headers()
                elif manner == "moved":
                    self.send_response(302)
                    self.send_header("Location", "/good")
                    self.end_headers()
                elif manner in ("404", "503"):
                    self.send_error(int(manner))
                elif manner == "hangs":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data[:5])
                    self.wfile.flush()
                    outer.done.wait(20)
                elif manner == "garbage":
                    self.wfile.write(b"SSH-2.0-server\r\n")
                elif manner == "chunk":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
                else:
                    self.send_response(200)
                    length = {"short": len(data) + 100, "nonsense": "many"}.get(manner, len(data))
                    self.send_header("Content-Length", str(length))
                    self.end_headers()
                    self.wfile.write(data[:-1] + b"X" if manner == "other" else data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{manner}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    made = Server(package())
    yield made
    made.done.set()
    made.server.shutdown()
    made.server.server_close()


SUM = hashlib.sha256(package()).hexdigest()


@pytest.mark.parametrize("manner", ["good", "moved"])
def test_a_package_is_fetched_once(server: Server, tmp_path: Path, manner: str) -> None:
    path = Path(deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads")))
    assert path.read_bytes() == package()
    asked = len(server.asked)
    assert deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads")) == str(path)
    assert len(server.asked) == asked


def test_a_damaged_file_of_an_earlier_run_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = Path(deb.fetch(server.url("good"), SUM, str(tmp_path)))
    path.write_bytes(b"damaged")
    assert Path(deb.fetch(server.url("good"), SUM, str(tmp_path))).read_bytes() == package()


FAULTS = {
    "404": "HTTP 404",
    "503": "HTTP 503",
    "loop": "HTTP 302",
    "short": "the connection ended after",
    "chunk": "",
    "garbage": "",
    "nonsense": "",
    "hangs": "timed out",
    "other": "has the sha256",
}


@pytest.mark.parametrize(("manner", "said"), FAULTS.items())
def test_a_fault_is_said_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str, said: str
) -> None:
    real = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: real(url, timeout=min(timeout, 0.5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib leaves an error's connection to the garbage collector
        with pytest.raises(deb.Failure) as fault:
            deb.fetch(server.url(manner), SUM, str(tmp_path / "downloads"))
        message, hint = fault.value.message, fault.value.hint
        del fault
        gc.collect()
    assert said in message
    assert server.url(manner) in message
    assert "`" in hint
    assert list((tmp_path / "downloads").iterdir()) == []


def test_too_much_is_not_swallowed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "LARGEST", 10)
    with pytest.raises(deb.Failure, match="were sent"):
        deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"))
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.parametrize("name", ["sysbox.deb", "with space.deb", "100%41.deb", "a#b?c.deb", "grün.deb"])
def test_a_local_file_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(package())
    assert Path(deb.fetch(str(tmp_path / name), SUM, str(tmp_path / "downloads"))).read_bytes() == package()


def test_a_local_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(deb.Failure, match=r"none\.deb"):
        deb.fetch(str(tmp_path / "none.deb"), SUM, str(tmp_path / "downloads"))


def test_a_full_disk(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(deb.Failure, match="No space left on device"):
        deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"))
    assert list((tmp_path / "downloads").iterdir()) == []


def test_the_download_says_how_far_it_is(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(deb, "tell", lambda path, text: told.append(text))
    deb.fetch(server.url("good"), SUM, str(tmp_path / "downloads"), "x")
    assert told[-2].startswith("100%, ")
    assert told[-1] == ""


def test_the_shadow_is_real(needs_root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real unshare and mount: what the command writes below /etc/docker never reaches it."""
    import subprocess

    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace can be made here (CAP_SYS_ADMIN is missing)")
    settings, scratch = tmp_path / "etc-docker", tmp_path / "run"
    settings.mkdir()
    scratch.mkdir()
    (settings / "daemon.json").write_text("mine")
    monkeypatch.setattr(deb, "DOCKER_SETTINGS", str(settings))
    monkeypatch.setattr(deb, "SCRATCH", str(scratch))
    result = deb.in_shadow(
        [
            "sh",
            "-c",
            f'cat {settings}/daemon.json; echo theirs >{settings}/daemon.json; echo "$1"; exit 7',
            "sh",
            "an argument",
        ]
    )
    assert result.returncode == 7
    assert json.loads(result.stdout[: result.stdout.rindex("}") + 1]) == deb.SHADOW
    assert result.stdout.endswith("an argument\n")
    assert (settings / "daemon.json").read_text() == "mine"
    assert list(scratch.iterdir()) == []
