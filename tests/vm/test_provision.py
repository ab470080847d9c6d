"""The script that runs in the guest at every boot: a changed proxy reaches Docker at once, and nothing is restarted for nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.vm.test_template import render


class Guest:
    """The guest's files below a folder, with programs that note how they were called."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, root / "calls"
        for folder in ("bin", "var/lib", "run", "etc"):
            (root / folder).mkdir(parents=True)
        (root / "bin/systemctl").write_text(f'#!/bin/sh\necho "$*" >>{self.calls}\n[ "$1" != try-restart ] || exit 5\n')
        (root / "bin/stat").write_text("#!/bin/sh\necho dev\n")
        for name in ("systemctl", "stat"):
            (root / "bin" / name).chmod(0o755)

    def boot(self, **settings: Any) -> list[str]:
        """Run what Lima runs; returns what systemd was asked for."""
        self.calls.write_text("")
        for item in yaml.safe_load(render(**settings))["provision"]:
            if item["mode"] == "data":
                path = Path(f"{self.root}{item['path']}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(item["content"])
            else:
                script = item["script"].replace("{{.User}}", "dev")
                for folder in ("/etc/", "/var/", "/run/"):
                    script = script.replace(folder, f"{self.root}{folder}")
                environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
                subprocess.run(["sh", "-c", script], check=True, env=environment)
        return self.calls.read_text().splitlines()

    @property
    def drop_in(self) -> str:
        return (self.root / "etc/systemd/system/docker.service.d/containai-proxy.conf").read_text()


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_a_proxy_reaches_docker_when_it_is_set_changed_and_taken_back(guest: Guest) -> None:
    restart = "try-restart docker.service"
    for proxy in ({}, {"HTTPS_PROXY": "http://one:3128"}, {"HTTPS_PROXY": "http://two:3128"}, {}):
        assert restart in guest.boot(lima_vm_proxy=proxy)
        assert guest.drop_in == "[Service]\n" + "".join(f'Environment="{k}={v}"\n' for k, v in proxy.items())
        assert restart not in guest.boot(lima_vm_proxy=proxy)


def test_what_is_kept_of_it_is_for_root_alone(guest: Guest) -> None:
    guest.boot(lima_vm_proxy={"HTTPS_PROXY": "http://me:pw@one:3128"})
    assert (guest.root / "var/lib/containai-proxy.conf").stat().st_mode & 0o777 == 0o600


def test_a_percent_sign_is_no_specifier_of_systemd(guest: Guest) -> None:
    guest.boot(lima_vm_proxy={"HTTPS_PROXY": "http://a%20b:3128"})
    assert "a%%20b" in guest.drop_in
