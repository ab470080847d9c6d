"""The inventory plugin for the WSL distros of Windows hosts: what it reads out of wsl.exe, and what it makes of that."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
_SPEC = importlib.util.spec_from_file_location(
    "containai_wsl", REPOSITORY / "playbooks/inventory_plugins/containai_wsl.py"
)
plugin = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = plugin
_SPEC.loader.exec_module(plugin)

LIST = """\
  NAME                STATE           VERSION
* Ubuntu-24.04        Running         2
  My old Debian       Stopped         1
  docker-desktop      Running         2
  Kali Linux (x64)    Installing      2
"""
# Stands for ssh: it answers as the file beside it, named after the host, says.
SSH = """#!/usr/bin/python3
import pathlib, sys
name = sys.argv[sys.argv.index("--") + 1]
here = pathlib.Path(__file__).parent
(here / f"{name}.words").write_text("\\n".join(sys.argv[1:]))
if not (here / name).exists():
    print(f"ssh: connect to host {name} port 22: Connection refused", file=sys.stderr)
    sys.exit(255)
sys.stdout.buffer.write((here / name).read_bytes())
sys.exit(int((here / f"{name}.code").read_text()) if (here / f"{name}.code").exists() else 0)
"""


def windows(text: str) -> bytes:
    """Text as wsl.exe prints it where nobody sees a console."""
    return text.replace("\n", "\r\n").encode("utf-16-le")


@pytest.mark.parametrize(
    "data",
    [windows(LIST), b"\xff\xfe" + windows(LIST), LIST.encode(), LIST.replace("Running", "Wird ausgeführt").encode()],
    ids=["utf-16", "with a mark", "WSL_UTF8", "an old German one"],
)
def test_the_list_is_read(data: bytes) -> None:
    found = plugin.parse(plugin.decode(data))
    assert [one.name for one in found] == ["Ubuntu-24.04", "My old Debian", "docker-desktop", "Kali Linux (x64)"]
    assert [one.version for one in found] == [2, 1, 2, 2]
    assert [one.default for one in found] == [True, False, False, False]
    assert [one.state for one in found][1:2] == ["stopped"]


def test_a_message_is_no_distro() -> None:
    assert plugin.parse("Windows Subsystem for Linux has no installed distributions.\nVersion: 2\n") == []


def test_names_stay_apart() -> None:
    taken: set[str] = set()
    assert plugin.host_name("pc", "My Debian", taken) == "pc-My_Debian"
    assert plugin.host_name("pc", "My_Debian", taken) == "pc-My_Debian_2"


def plain(value: dict[str, Any]) -> Any:
    """What ansible-inventory marks as no template, without the mark."""
    return value.get("__ansible_unsafe", value)


@pytest.fixture
def inventory(tmp_path: Path) -> Any:
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)

    def read(**settings: Any) -> tuple[dict[str, Any], str]:
        path = tmp_path / "hosts.yml"
        path.write_text(yaml.safe_dump({"plugin": "containai_wsl", **settings}))
        command = ["ansible-inventory", "-i", str(path), "--playbook-dir", str(REPOSITORY / "playbooks"), "--list"]
        environment = {
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        }
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        return (json.loads(done.stdout, object_hook=plain) if done.returncode == 0 else {}), done.stderr

    return read


@pytest.mark.ansible
def test_hosts_and_groups(inventory: Any, tmp_path: Path) -> None:
    (tmp_path / "one.example").write_bytes(windows(LIST))
    (tmp_path / "empty").write_bytes(windows("Windows Subsystem for Linux has no installed distributions.\n"))
    (tmp_path / "empty.code").write_text("255")
    found, said = inventory(
        user="developer",
        windows_hosts={"pc-1": {"host": "one.example", "port": 2222, "vars": {"ring": "pilot"}}, "empty": None, "gone": {}},
        ssh_args=["-o", "IdentitiesOnly=yes"],
        wsl_vars={"docker_context_user": "developer"},
        keyed_groups=[{"key": "wsl_distribution", "prefix": "distro"}],
        groups={"pilot": "ring == 'pilot'"},
    )  # fmt: skip
    variables = found["_meta"]["hostvars"]
    assert found["wsl_running"]["hosts"] == ["pc-1-Ubuntu-24.04"]
    assert found["wsl_stopped"]["hosts"] == found["wsl_version_1"]["hosts"] == ["pc-1-My_old_Debian"]
    assert found["wsl_installing"]["hosts"] == ["pc-1-Kali_Linux_x64_"]
    assert found["wsl_no_answer"]["hosts"] == ["gone"]
    assert found["distro_Ubuntu_24_04"]["hosts"] == ["pc-1-Ubuntu-24.04"]
    assert len(found["pilot"]["hosts"]) == 3
    wanted = {
        "ansible_connection": "community.general.wsl", "ansible_host": "one.example", "ansible_port": 2222,
        "ansible_user": "developer", "wsl_user": "root", "wsl_distribution": "My old Debian", "wsl_version": 1,
        "wsl_windows_host": "pc-1",
        "wsl_default": False, "ansible_remote_tmp": "~root/.ansible/tmp", "docker_context_user": "developer", "ring": "pilot",
    }  # fmt: skip
    assert {name: variables["pc-1-My_old_Debian"].get(name) for name in wanted} == wanted
    words = (tmp_path / "one.example.words").read_text().splitlines()
    assert words[-3:] == ["--", "one.example", "wsl.exe --list --verbose"]
    assert words[-9:-3] == ["-p", "2222", "-l", "developer", "-o", "IdentitiesOnly=yes"]
    assert "empty: Windows Subsystem for Linux has no installed distributions." in said
    assert "gone: ssh: connect to host gone port 22: Connection refused" in said


@pytest.mark.ansible
def test_include_and_exclude(inventory: Any, tmp_path: Path) -> None:
    (tmp_path / "pc").write_bytes(windows(LIST))
    found, _ = inventory(windows_hosts={"pc": None}, include=["ubuntu*", "docker-*"], exclude=[])
    assert found["wsl"]["hosts"] == ["pc-Ubuntu-24.04", "pc-docker-desktop"]


@pytest.mark.ansible
def test_a_wrong_key_is_named(inventory: Any) -> None:
    found, said = inventory(windows_hosts={"pc": {"adress": "x"}})
    assert found == {}
    assert "windows_hosts.pc has adress; known are host, port, private_key_file, ssh_args, user, vars." in " ".join(
        said.split()
    )
