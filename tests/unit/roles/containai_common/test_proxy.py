"""Downloads go through the proxies that a module is handed, whatever sudo left of the environment; no message tells a proxy's password."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import containai_docker_repository as repository
from ansible.module_utils import containai_sysbox_units
from ansible.module_utils.containai import proxy

from tests.unit.roles.conftest import ROLES, Commands, load_module, run_module

CLOSED = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies before, and none after; urllib keeps those of its first request."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")})


def test_the_lower_spelling_counts_and_nothing_is_no_proxy() -> None:
    proxy.use(
        json.dumps(
            {"https_proxy": "http://b:2", "HTTPS_PROXY": "http://a:1", "HTTP_PROXY": "http://c:3", "no_proxy": ""}
        )
    )
    assert {k: v for k, v in os.environ.items() if "proxy" in k.lower()} == {
        "https_proxy": "http://b:2",
        "http_proxy": "http://c:3",
    }
    proxy.use("")


@pytest.mark.parametrize(
    "address", ["proxy:3128", "http://proxy:3128/", "http://me:p@s/s@proxy:3128", "me:sesame@proxy:3128"]
)
def test_a_proxy_is_named_without_its_password(address: str) -> None:
    proxy.use(json.dumps({"https_proxy": address, "no_proxy": "direct.example"}))
    assert proxy.through("https://x.example/a") == " through the proxy proxy:3128"
    assert (
        proxy.through("https://direct.example/a")
        == proxy.through("http://x.example")
        == proxy.through("file:///x")
        == ""
    )


def test_the_key_and_apt_go_through_the_proxy(commands: Commands) -> None:
    module = load_module("docker_engine_packages")
    proxy.use(json.dumps({"HTTP_PROXY": f"http://me:sesame@{CLOSED}"}))
    with pytest.raises(repository.Failure, match=f"through the proxy {CLOSED}: .*refused") as failure:
        repository.fetch_key("http://mirror.invalid/gpg", "A" * 40)
    assert "sesame" not in str(failure.value)
    commands.add("apt-get", 'printf "%s" "$http_proxy"')
    assert module.apt_get({"apt_wait": 1, "progress": ""}, "update").stdout == f"http://me:sesame@{CLOSED}"


@pytest.mark.parametrize("no_proxy", ["", "a", "mirror.invalid"])
def test_the_sysbox_package_goes_through_it_and_a_hidden_value_blots_out_nothing(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    module = load_module("sysbox_package")
    monkeypatch.setattr(module, "DOWNLOADS", str(tmp_path / "downloads"))
    for name in ("SYSTEMD", "PROGRAMS"):
        monkeypatch.setattr(containai_sysbox_units, name, str(tmp_path / "units"))
    commands.add("dpkg-query", "exit 1")
    more = {"version": "0.7.1", "sha256": {"amd64": "a" * 64}, "architecture": "amd64", "socket": "/run/x.sock"}
    settings = {"HTTP_PROXY": f"http://me:sesame@{CLOSED}", "NO_PROXY": no_proxy}
    answer = run_module(module, source="http://mirror.invalid/a.deb", proxy=json.dumps(settings), **more)
    assert "could not be fetched from http://mirror.invalid/a.deb" in answer["msg"]
    assert (f"through the proxy {CLOSED}: Connection refused" in answer["msg"]) == (no_proxy != "mirror.invalid")
    assert "sesame" not in json.dumps(answer)


@pytest.mark.ansible
def test_the_setting_comes_first_and_the_environment_is_this_machines(tmp_path: Path) -> None:
    """What Ansible makes of the role's variables, of three hosts at once."""
    own, setting = {"HTTPS_PROXY": "http://own:1", "no_proxy": "localhost"}, {"HTTP_PROXY": "http://set:2"}
    hosts = {
        "here": {"ansible_connection": "local", "docker_engine_proxy": {}},
        "elsewhere": {"ansible_connection": "ssh", "docker_engine_proxy": {}},
        "set": {"ansible_connection": "local", "docker_engine_proxy": setting},
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    # In a process of its own, since a controller's code changes how a module warns.
    argv = [sys.executable, "-m", "ansible", "adhoc", "-i", str(tmp_path / "hosts.yml"), "all", "-e", f"@{ROLES}/docker_engine/vars/main.yml", "-m", "debug", "-a", "var=__docker_engine_downloads"]  # fmt: skip
    said = subprocess.run(argv, env={**os.environ, **own}, capture_output=True, text=True, check=True).stdout
    found = {}
    for host, text in re.findall(r"^(\w+) \| SUCCESS => (.*?)(?=^\w+ \||\Z)", said, re.MULTILINE | re.DOTALL):
        found[host] = {
            name: value for name, value in yaml.safe_load(text)["__docker_engine_downloads"].items() if value
        }
    assert found == {"here": own, "elsewhere": {}, "set": setting}
