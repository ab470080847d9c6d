"""The project folder under ansible-runner's remote execution: transmit, worker and process, as AWX's instances do it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.hosts import engine, galaxy, paths
from tests.system.box import PASSWORD
from tests.system.fleet import Fleet

SECRET = "pr0xy-Pa55wort-x7"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.down()


def project(target: Path) -> None:
    """Copy what git would publish, as a project is synchronised."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("playbooks/", "roles/", "ansible.cfg")) and (paths.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths.ROOT / name, target / name)


def private_data(fleet: Fleet, folder: Path) -> None:
    """What the controller has: the project, an inventory, settings and secrets."""
    project(folder / "project")
    (folder / "inventory").mkdir()
    listed = {**fleet.inventory["runner"], "ansible_user": "dev"}
    (folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"runner": listed}}}))
    address = engine.docker_host()
    contents = {
        "envvars": {"ANSIBLE_COLLECTIONS_PATH": str(galaxy.ensure()), **({"DOCKER_HOST": address} if address else {})},
        "passwords": {"^BECOME password.*": PASSWORD},
        "extravars": {"docker_engine_proxy": {"HTTPS_PROXY": f"http://me:{SECRET}@proxy.invalid:3128"}},
    }
    (folder / "env").mkdir()
    for name, content in contents.items():
        (folder / "env" / name).write_text(json.dumps(content))
    (folder / "env" / "cmdline").write_text("--ask-become-pass --diff")


@pytest.mark.slow
def test_a_run_is_carried_to_a_worker_and_back_without_its_secrets(fleet: Fleet) -> None:
    box = fleet.add("runner", "noble", trusted=False)
    box.sh(f"echo 'dev:{PASSWORD}' | chpasswd")
    sent, back = fleet.folder / "sent", fleet.folder / "back"
    private_data(fleet, sent)
    runner = str(Path(sys.executable).with_name("ansible-runner"))
    # Three programs, joined by pipes: the worker has nothing but what comes through them.
    line = f"{runner} transmit {sent} -p playbooks/site.yml | {runner} worker | {runner} process {back} --ident one"
    done = fleet.run("bash", "-o", "pipefail", "-c", line, cwd=fleet.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 changed" in done.stdout, done.stdout

    artifacts = back / "artifacts" / "one"
    assert (artifacts / "status").read_text() == "successful"
    assert len([*(artifacts / "job_events").glob("*.json")]) > 20
    told = {path: path.read_bytes() for path in back.rglob("*") if path.is_file()}
    for secret in (PASSWORD, SECRET):
        assert [str(path) for path, data in told.items() if secret.encode() in data] == [], "a secret in the artifacts"
        assert secret not in done.stdout + done.stderr
    assert SECRET in box.sh("cat /usr/local/libexec/containai/proxy.env"), "the setting has to arrive all the same"
