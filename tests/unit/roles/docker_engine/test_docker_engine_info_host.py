"""A host that cannot carry the engine is refused with what was found, what is needed and what mends it; nothing is changed."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import containai_host as host

from tests.unit.roles.conftest import SEARCH, Commands, load_module, run_module, utilities

platform = next(module for module in utilities() if module.__name__.endswith("platform"))

WSL2 = "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@x) (gcc 13) #1 SMP"
WSL1 = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) #1237-Microsoft"
NATIVE = "Linux version 6.12.0-1-amd64 (debian-kernel@lists.debian.org)"
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'
DEFAULT = {"dst": "default", "gateway": "192.168.1.1", "dev": "eth0", "flags": []}


class Machine:
    """A root folder, and what the kernel says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "run/systemd/system").mkdir(parents=True)
        self.texts = {
            "/proc/version": NATIVE, "/proc/sys/kernel/osrelease": "6.12.0-1-amd64", "/etc/os-release": DEBIAN,
            "/etc/debian_version": "12.5",
        }  # fmt: skip
        self.routes, self.links = [DEFAULT], []
        self.kernel, self.machine = "6.12.0-1-amd64", "x86_64"

    def read(self, path: str) -> str:
        if path in self.texts:
            return self.texts[path]
        try:
            return Path(path).read_text()
        except OSError:
            return ""

    def file(self, path: str, text: str = "") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture
def module() -> ModuleType:
    return load_module("docker_engine_info")


@pytest.fixture
def machine(module: ModuleType, tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path / "root")
    monkeypatch.setattr("ansible.module_utils.containai.process.PATH", commands.path)
    monkeypatch.setattr(host, "read_text", made.read)
    monkeypatch.setattr(platform, "read_text", made.read)
    monkeypatch.setattr(platform.wsl_signs, "__defaults__", (str(made.root),))
    monkeypatch.setattr(host.containai_link, "look", lambda: (made.routes, made.links))
    for function in (host.check_container_and_systemd, host.check_docker):
        monkeypatch.setattr(function, "__defaults__", (str(made.root),))
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=made.machine, release=made.kernel))
    return made


def look(module: ModuleType, machine: Machine, **more: Any) -> Any:
    parameters = {
        "platform": "any", "supported": {"ubuntu": "22.04", "debian": "12"}, "minimum_kernel": "5.12",
        "daemon_json": str(machine.root / "daemon.json"), "link_subnet": "10.213.77.0/30",
    }  # fmt: skip
    before = {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()}
    check, real = (run_module(module, check_mode=check, **{**parameters, **more}) for check in (True, False))
    assert {key: value for key, value in check.items() if key != "invocation"} == {
        key: value for key, value in real.items() if key != "invocation"
    }
    assert {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()} == before
    return real


def test_a_good_host_is_described(module: ModuleType, machine: Machine, commands: Commands) -> None:
    commands.add("dockerd")
    answer = look(module, machine)
    assert not answer["changed"]
    assert answer["findings"] == []
    me = pwd.getpwuid(os.getuid())
    assert answer["host"] == {
        "platform": "linux", "distribution": "debian", "version": "12", "codename": "bookworm", "derivative": "", "architecture": "amd64", "kernel": "6.12.0-1-amd64",
        "user": me.pw_name, "home": me.pw_dir, "dockerd_path": f"{commands.path}/dockerd", "containerd_path": "",
        "link": {"subnet": "10.213.77.0/30", "prefix": 30, "machine": "10.213.77.1", "engine": "10.213.77.2"},
        "egress": {"mode": "open", "allow": [], "blocked": ["169.254.169.254/32"]},
    }  # fmt: skip


REFUSED = {
    "WSL1": (lambda m: m.texts.update({"/proc/version": WSL1}), "WSL1", "`wsl --set-version", "unsupported"),
    "no systemd": (lambda m: (m.root / "run/systemd/system").rmdir(), "systemd does not run", "`apt-get install systemd-sysv`", "unsupported"),
    "no systemd in WSL2": (
        lambda m: (m.texts.update({"/proc/version": WSL2}), (m.root / "run/systemd/system").rmdir()),
        "systemd does not run", "systemd=true", "unsupported",
    ),
    "a Docker container": (lambda m: m.file(".dockerenv"), "container (docker)", "`cai setup`", "unsupported"),
    "a Podman container": (lambda m: m.file("run/.containerenv"), "container (podman)", "`cai setup`", "unsupported"),
    "an LXC container": (lambda m: m.file("run/systemd/container", "lxc\n"), "container (lxc)", "`cai setup`", "unsupported"),
    "snap's Docker": (lambda m: m.file("snap/bin/docker"), "snap", "`sudo snap remove docker`", "unsupported"),
    "another distribution": (
        lambda m: m.texts.update({"/etc/os-release": 'ID=fedora\nPRETTY_NAME="Fedora Linux 43"\nVERSION_ID=43\n'}),
        "Fedora Linux 43 is not supported; needed is one of: Debian 12 or newer, Ubuntu 22.04 or newer", "`", "unsupported",
    ),
    "no distribution": (lambda m: m.texts.update({"/etc/os-release": ""}), "unknown is not supported", "`", "unsupported"),
    "too old a distribution": (
        lambda m: m.texts.update({"/etc/os-release": 'ID=ubuntu\nPRETTY_NAME="Ubuntu 20.04.6 LTS"\nVERSION_ID="20.04"\n'}),
        "Ubuntu 20.04.6 LTS is too old", "`sudo do-release-upgrade`", "unsupported",
    ),
    "too old a kernel": (lambda m: setattr(m, "kernel", "5.9.16"), "5.9.16 is too old", "`", "unsupported"),
    "a derivative of too old a base": (
        lambda m: m.texts.update({"/etc/os-release": 'ID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME="Linux Mint 20.3"\nUBUNTU_CODENAME=focal\n'}),
        "Linux Mint 20.3, which is built on Ubuntu 20.04, is too old", "`", "unsupported",
    ),
    "a derivative of no known base": (
        lambda m: m.texts.update({"/etc/os-release": 'ID=new\nID_LIKE=ubuntu\nPRETTY_NAME="New 1"\nUBUNTU_CODENAME=zesty\n'}),
        "New 1 is not supported", "`", "unsupported",
    ),
    "another architecture": (lambda m: setattr(m, "machine", "riscv64"), "riscv64 is not supported", "`", "unsupported"),
    "a daemon.json of no JSON": (lambda m: m.file("daemon.json", "{\n//\n}"), "line 2, column 1", "`cai setup -e sysbox_daemon_json=", "precondition"),
    "hosts in daemon.json": (lambda m: m.file("daemon.json", '{"hosts": []}'), '"hosts" is set', "`cai setup -e sysbox_daemon_json=", "precondition"),
    "a daemon.json that takes no runtime": (lambda m: m.file("daemon.json", '{"runtimes": []}'), "not an object", "`cai setup -e sysbox_daemon_json=", "precondition"),
    "a folder as daemon.json": (lambda m: (m.root / "daemon.json").mkdir(), "Is a directory", "`cai setup -e", "precondition"),
    "the link's network in use": (
        lambda m: m.routes.append({"dst": "10.213.77.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link", "flags": []}),
        "in use by eth0 (10.213.77.0/24)", "`cai setup -e docker_engine_link_subnet=172.30.213.76/30`", "precondition",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "found", "mend", "failure"), REFUSED.values(), ids=REFUSED.keys())
def test_a_host_that_cannot_is_refused(
    module: ModuleType, machine: Machine, change: Any, found: str, mend: str, failure: str
) -> None:
    change(machine)
    answer = look(module, machine)
    assert answer["failed"]
    assert found in answer["msg"]
    assert mend in answer["hint"]
    assert answer["failure"] == failure


ACCEPTED = {
    "WSL2": lambda m: m.texts.update({"/proc/version": WSL2}),
    "WSL2 that says it is a container": lambda m: (
        m.texts.update({"/proc/version": WSL2}),
        m.file("run/systemd/container", "wsl"),
    ),
    "a testing release": lambda m: m.texts.update({"/etc/os-release": "ID=debian\nVERSION_CODENAME=forky\n"}),
    "a newer release": lambda m: m.texts.update({"/etc/os-release": "ID=ubuntu\nVERSION_ID='24.04'\n"}),
    "the oldest kernel": lambda m: setattr(m, "kernel", "5.12.0"),
    "a kernel with a name": lambda m: setattr(m, "kernel", "6.6.87.2-microsoft-standard-WSL2+"),
    "arm64": lambda m: setattr(m, "machine", "aarch64"),
    "an empty daemon.json": lambda m: m.file("daemon.json", ""),
    "a daemon.json with settings": lambda m: m.file("daemon.json", '{"log-driver": "local", "bip": "10.9.0.1/24"}'),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_host_that_can_is_not_refused(module: ModuleType, machine: Machine, change: Any) -> None:
    change(machine)
    answer = look(module, machine)
    assert not answer.get("failed"), answer.get("msg")
    assert answer.warned == ""


def test_snaps_docker_beside_a_packaged_one(module: ModuleType, machine: Machine, commands: Commands) -> None:
    machine.file("snap/bin/docker")
    commands.add("dockerd")
    assert not look(module, machine).get("failed")


def test_the_playbook_of_another_platform(module: ModuleType, machine: Machine) -> None:
    answer = look(module, machine, platform="wsl2")
    assert answer["failure"] == "precondition"
    assert "`playbooks/linux.yml`" in answer["hint"]


def test_an_engine_that_is_the_hosts_own_may_have_hosts(module: ModuleType, machine: Machine) -> None:
    machine.file("daemon.json", '{"hosts": ["fd://"]}')
    assert not look(module, machine, dedicated=False).get("failed")


def test_dns_in_the_setting_and_in_daemon_json_is_refused(module: ModuleType, machine: Machine) -> None:
    machine.file("daemon.json", '{"dns": ["1.1.1.1"]}')
    assert not look(module, machine).get("failed")
    assert '"dns" is set' in look(module, machine, settings={"dns": ["9.9.9.9"]})["msg"]


def test_sysbox_as_default_runtime_is_a_warning(module: ModuleType, machine: Machine) -> None:
    machine.file("daemon.json", '{"default-runtime": "sysbox-runc"}')
    assert "default runtime" in look(module, machine).warned


def test_a_daemon_json_that_may_not_be_read_is_a_warning(module: ModuleType, machine: Machine) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    (machine.root / "daemon.json").touch(0o000)
    parameters = {
        "platform": "any",
        "supported": {"debian": "12"},
        "minimum_kernel": "5.12",
        "link_subnet": "10.213.77.0/30",
    }
    assert "root rights" in run_module(module, daemon_json=str(machine.root / "daemon.json"), **parameters).warned


@pytest.mark.parametrize(
    "subnet", ["10.0.0.0/32", "10.0.0.1/24", "fd00::/64", "nonsense", "127.1.0.0/30", "224.0.0.0/24", "0.0.0.0/8"]
)
def test_a_link_that_is_no_network_is_refused(module: ModuleType, machine: Machine, subnet: str) -> None:
    answer = look(module, machine, link_subnet=subnet)
    assert answer["failure"] == "precondition"
    assert "docker_engine_link_subnet" in answer["msg"]
    assert "`cai setup -e docker_engine_link_subnet=10.213.77.0/30`" in answer["hint"]


def test_the_user(module: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(module, machine, user="nobody")["host"]["user"] == "nobody"
    monkeypatch.setenv("SUDO_USER", "nobody")
    assert look(module, machine)["host"]["user"] == "nobody"
    answer = look(module, machine, user="nobody-of-this-name")
    assert answer["failure"] == "precondition"
    assert "nobody-of-this-name" in answer["msg"]


def test_the_health_report_has_the_platform(module: ModuleType, machine: Machine) -> None:
    (finding,) = look(module, machine, report=True)["findings"]
    assert finding["status"] == "pass"
    assert finding["found"] == "Linux, Debian 12, amd64, kernel 6.12.0-1-amd64"


@pytest.mark.parametrize(
    ("change", "more", "found", "hint"),
    [
        (lambda m: m.file("daemon.json", '{"hosts": []}'), {}, '"hosts" is set', "sysbox_daemon_json"),
        (lambda _: None, {"link_subnet": "x"}, "docker_engine_link_subnet", "docker_engine_link_subnet"),
        (lambda _: None, {"settings": {"socket": "/run/docker.sock"}}, "another engine's", "`cai setup -e"),
    ],
)
def test_what_setup_would_refuse_is_a_finding(
    module: ModuleType, machine: Machine, change: Any, more: dict[str, Any], found: str, hint: str
) -> None:
    change(machine)
    answer = look(module, machine, report=True, **more)
    assert not answer.get("failed")
    (finding,) = answer["findings"]
    assert finding["status"] == "fail"
    assert found in finding["found"]
    assert hint in finding["hint"]


@pytest.mark.parametrize("text", ['{"debug": tru', "[]"])
def test_a_daemon_json_that_is_none_is_refused_and_left_to_another_finding(
    module: ModuleType, machine: Machine, text: str
) -> None:
    machine.file("daemon.json", text)
    assert "daemon.json cannot be used" in look(module, machine)["msg"]
    (finding,) = look(module, machine, report=True)["findings"]
    assert finding["status"] == "pass"


def test_an_unsupported_host_is_refused_in_a_report_too(module: ModuleType, machine: Machine) -> None:
    machine.kernel = "5.9.16"
    answer = look(module, machine, report=True)
    assert answer["failure"] == "unsupported"
    assert answer["findings"] == [
        {"part": "platform", "status": "fail", "found": answer["msg"], "hint": answer["hint"]}
    ]
    assert look(module, machine)["findings"] == []


@pytest.mark.parametrize(("version", "hint"), [(WSL2, "`wsl --install"), (NATIVE, "`cai setup` on a machine")])
def test_the_way_to_a_supported_distribution(module: ModuleType, machine: Machine, version: str, hint: str) -> None:
    machine.texts.update({"/proc/version": version, "/etc/os-release": "ID=fedora\n"})
    assert hint in look(module, machine)["hint"]


def test_a_derivative_is_what_it_is_built_on(module: ModuleType, machine: Machine) -> None:
    mint = 'ID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME="Linux Mint 22"\nVERSION_ID=22\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
    machine.texts["/etc/os-release"] = mint
    answer = look(module, machine)
    assert {key: answer["host"][key] for key in ("distribution", "version", "codename", "derivative")} == {
        "distribution": "ubuntu", "version": "24.04", "codename": "noble", "derivative": "Linux Mint 22",
    }  # fmt: skip
    assert "Linux Mint 22 is not tested; it is treated as Ubuntu 24.04 (noble)" in answer.warned
    report = look(module, machine, report=True)
    assert report.warned == ""
    assert report["findings"][0]["found"].startswith(
        "Linux, Linux Mint 22 (not tested; treated as Ubuntu 24.04), amd64"
    )


def test_a_32_bit_system_on_a_64_bit_kernel_is_refused(
    module: ModuleType, machine: Machine, commands: Commands
) -> None:
    """Raspberry Pi OS for 32 bits boots a 64-bit kernel."""
    machine.machine = "aarch64"
    commands.add("dpkg", "echo armhf")
    answer = look(module, machine)
    assert answer["failure"] == "unsupported"
    assert "programs of this system are for armhf" in answer["msg"]
    commands.add("dpkg", "echo arm64")
    assert look(module, machine)["host"]["architecture"] == "arm64"


# What /etc/wsl.conf holds -> the file after the command of the hint, or None where there is nothing to write.
WSL_CONF = {
    "": "[boot]\nsystemd=true\n",
    "[automount]\nenabled=true\n": "[automount]\nenabled=true\n[boot]\nsystemd=true\n",
    "[user]\ndefault=dev": "[user]\ndefault=dev\n[boot]\nsystemd=true\n",
    "[boot]\ncommand=true\n[user]\n": "[boot]\nsystemd=true\ncommand=true\n[user]\n",
    " [Boot] \n# systemd=true\n": " [Boot] \nsystemd=true\n# systemd=true\n",
    "[boot]\nsystemd=false\n[network]\nhostname=x\n": "[boot]\nsystemd=true\n[network]\nhostname=x\n",
    "[boot]\n  Systemd = false\n": "[boot]\nsystemd=true\n",
    "[boot]\nsystemd = true\n": None,
    '[boot]\nsystemd="true" # always\n': None,
    "[network]\nsystemd=true\n": "[network]\nsystemd=true\n[boot]\nsystemd=true\n",
}


@pytest.mark.parametrize(("before", "after"), WSL_CONF.items())
def test_the_hint_for_systemd_fits_the_wsl_conf_that_is_there(
    module: ModuleType, machine: Machine, tmp_path: Path, before: str, after: str | None
) -> None:
    machine.texts.update({"/proc/version": WSL2, str(machine.root / "etc/wsl.conf"): before})
    (machine.root / "run/systemd/system").rmdir()
    hint = look(module, machine)["hint"]
    assert "`wsl --shutdown`" in hint
    command = re.search(r"`([^`]*wsl\.conf)`", hint)
    assert (command is None) == (after is None)
    if command:  # what the hint says to type, typed
        conf = tmp_path / "wsl.conf"
        conf.write_text(before)
        typed = command.group(1).replace("/etc/wsl.conf", str(conf)).replace("sudo ", "")
        subprocess.run(["bash", "-c", typed], check=True, stdout=subprocess.DEVNULL, env={"PATH": SEARCH})
        assert conf.read_text() == after


@pytest.mark.parametrize("quoting", ['ID="debian"', "ID='debian'", "ID=debian"])
def test_os_release_in_any_quotes(module: ModuleType, quoting: str) -> None:
    assert host.os_release(f"# ID=none\nNAME=x\n{quoting}\nID_LIKE=other\n") == {
        "NAME": "x",
        "ID": "debian",
        "ID_LIKE": "other",
    }


def test_reading_what_is_not_there(module: ModuleType, tmp_path: Path) -> None:
    assert host.read_text(str(tmp_path / "none")) == ""


def test_the_result_does_not_repeat_a_proxys_password(module: ModuleType, machine: Machine) -> None:
    proxy = {"HTTPS_PROXY": "http://me:pw-x7@proxy:3128", "NO_PROXY": "localhost"}
    shown = repr(look(module, machine, settings={"proxy": proxy}))
    assert "pw-x7" not in shown
    assert "'NO_PROXY': 'localhost'" in shown
