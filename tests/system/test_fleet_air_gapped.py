"""A site without internet: fetch.yml makes a folder where there is a network, and a host without any route is set up from it alone.

What stands for Docker's own repository is its double (tests/hosts); the distribution's archive is the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import aptsources, host, paths
from tests.hosts.doubles import docker_repository
from tests.system import stage
from tests.system.box import Box

SUITE = "noble"
PLACE = "/srv/containai"


def fetch(folder: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run fetch.yml on this machine, which is connected."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    command = ["ansible-playbook", "playbooks/fetch.yml", "-e", json.dumps(variables)]
    return subprocess.run(
        command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


def variables(name: str, folder: Path) -> dict[str, Any]:
    """Where the test's sources are."""
    fingerprint = docker_repository.install(name)
    repository = paths.CACHE / "docker-repository" / name / "docker-repository"
    own, sha256 = stage.packages()["0.7.1"]
    return {
        "cai_bundle_dir": str(folder / "bundle"),
        "cai_bundle_suites": [SUITE],
        "cai_bundle_archives": {"ubuntu": {"amd64": aptsources.sources(SUITE)[0].uri}},
        "cai_bundle_keyrings": {"ubuntu": str(aptsources.keyring(SUITE))},
        "docker_engine_apt_url": repository.as_uri(),
        "docker_engine_apt_key_url": f"{repository.as_uri()}/gpg",
        "docker_engine_apt_key_fingerprint": fingerprint,
        "sysbox_deb": str(stage.WORK / "debs" / Path(own).name),
        "sysbox_sha256": {"amd64": sha256},
    }


@pytest.mark.slow
def test_a_host_without_a_route_is_set_up_from_the_folder_alone(hosts: Any, tmp_path: Path, measured: Any) -> None:
    box: Box = hosts("air-gapped", SUITE)
    given = variables(box.name, tmp_path)
    wrong = fetch(tmp_path, **{**given, "docker_engine_apt_key_fingerprint": "0" * 40})
    assert wrong.returncode != 0
    assert "is needed" in wrong.stdout
    assert not (tmp_path / "bundle").exists()
    done = fetch(tmp_path, **given)
    assert done.returncode == 0, done.stdout
    assert "changed=1" in done.stdout
    again = fetch(tmp_path, **given)
    assert "changed=0" in again.stdout, again.stdout

    bundle = tmp_path / "bundle"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle, check=True)
    manifest = json.loads((bundle / "manifest.json").read_text())["files"]
    listed = {entry["path"] for entry in manifest}
    found = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert found - listed == {"manifest.json", "SHA256SUMS"}
    measured(f"the folder: {len(manifest)} files, {sum(entry['size'] for entry in manifest) / 1e6:.0f} MB")
    assert yaml.safe_load((bundle / "settings.yml").read_text())["docker_engine_apt_url"] == f"file://{PLACE}/apt"

    host.copy(box.name, bundle, PLACE)
    # Nothing but the folder: no network, no archive's lists, no package that apt has already.
    box.sh(
        "chmod -R a+rX /srv; rm -rf /srv/docker-repository /var/tmp/debs /var/lib/apt/lists/* /opt/*.deb; apt-get clean;"
        " for link in $(ls /sys/class/net | grep -v '^lo$'); do ip link set $link down; done; ip route flush table main"
    )
    assert box.sh("ip route show table main") == ""
    folder = box.cai("path").expect(0).out.strip()
    line = f"cd {folder} && ansible-playbook -i inventory/localhost.yml playbooks/site.yml -e @{PLACE}/settings.yml"
    print(box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",)).expect(0, "1 changed").seconds)
    assert box.isolated()
    assert "docker-ce" in box.sh("dpkg-query -W -f '${Package}\\n' 'docker-ce*'")
    box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",)).expect(0, "1 ready", "changed=0")
