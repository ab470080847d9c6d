"""The main job under every ansible-core that pyproject.toml allows, each on a host whose own Python can have it."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.hosts import paths
from tests.system.box import CONFIG, Box

CORES = {"2.19": "bookworm", "2.20": "noble", "2.21": "resolute", "2.22": "trixie"}
pytestmark = pytest.mark.slow


def test_every_allowed_release_has_a_host() -> None:
    needs = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (allowed,) = (re.findall(r"[<>]=?2\.(\d+)", need) for need in needs if need.startswith("ansible-core"))
    first, end = sorted(map(int, allowed))
    assert [*CORES] == [f"2.{minor}" for minor in range(first, end)]


@pytest.mark.parametrize("core", CORES)
def test_the_main_job(hosts, core: str, measured) -> None:
    box: Box = hosts(f"core-{core.replace('.', '-')}", CORES[core], dress="linux", core=core)
    python, found = (
        box.shell("python3 -c 'import ansible, sys; print(sys.version.split()[0], ansible.__version__)'")
        .expect(0)
        .out.split()
    )
    assert found.startswith(f"{core}.")
    box.setup()
    assert box.isolated()
    folder = box.cai("path").expect(0).out.strip()
    # By Ansible's own words, with the warnings that its users see.
    line = f"cd {folder} && ansible-playbook -i inventory/localhost.yml playbooks/site.yml -e @{CONFIG}"
    warned = ("--setenv=ANSIBLE_DEPRECATION_WARNINGS=true", "--setenv=LANG=C.UTF-8")
    again = box.user("bash", "-c", line, options=warned).expect(0, "changed=0", "failed=0")
    assert "DEPRECATION" not in again.text.upper(), again.text
    box.converged()
    assert [part for part, finding in box.health().items() if finding["status"] == "fail"] == []
    box.cai("uninstall", "--yes", "--purge").expect(0)
    assert not box.ok("systemctl cat containai-docker.service")
    measured(f"ansible-core {found}, Python {python}, {CORES[core]}: setup, second run, doctor, uninstall passed")
