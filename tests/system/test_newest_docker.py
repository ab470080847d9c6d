"""The newest Docker, built from its source and packed as Docker's own packages: the default source, on a native host."""

from __future__ import annotations

import json
import re

import pytest

from tests.hosts.doubles import docker_repository
from tests.hosts.shell import HostError
from tests.system import stage
from tests.system.box import IMAGE, Box, quoted

DAEMON_JSON = "/etc/docker/daemon.json"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def box(hosts):
    try:
        programs = docker_repository.newest()
    except HostError as error:
        pytest.skip(f"no newest Docker: {error}")
    made: Box = hosts("newest-docker", dress="linux", setup="ubuntu-desktop")
    path, sha256 = stage.packages()["0.7.1"]
    made.settings(
        sysbox_deb=path,
        sysbox_sha256={"amd64": sha256},
        docker_engine_source="docker",
        docker_engine_apt_url=f"file://{docker_repository.IN_HOST}",
        docker_engine_apt_key_url=f"file://{docker_repository.IN_HOST}/gpg",
        docker_engine_apt_key_fingerprint=docker_repository.install(made.name, programs),
    )
    made.setup()
    assert docker_repository.NEWEST in made.docker("version --format '{{.Server.Version}}'").expect(0).out
    return made


def whole(box: Box) -> None:
    """The main job works: isolation, names, ports, a second run, doctor."""
    assert box.isolated()
    box.docker(f"run -d --name web -p 8127:80 {IMAGE} httpd -f -h /www").expect(0)
    box.docker(f"run -d --name any -P --expose 80 {IMAGE} httpd -f -h /www").expect(0)
    for port in ("8127", box.docker("port any 80").expect(0).out.split()[0].rpartition(":")[2]):
        box.sh(
            f"for i in $(seq 50); do timeout 5 python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/')\" && exit 0; sleep 0.2; done; exit 1"
        )
    name = box.sh("apt-get indextargets --format '$(SITE)' | head -n 1 | sed 's#.*://##; s#[:/].*##'")
    address = box.sh(f"getent ahostsv4 {name}").split()[0]
    assert address in box.docker(f"run --rm {IMAGE} nslookup {name}").text
    box.docker("rm -f web any").expect(0)
    box.converged()
    assert [part for part, finding in box.health().items() if finding["status"] == "fail"] == []


def rules(box: Box) -> str:
    """All rules of the machine, without what they counted."""
    return re.sub(r"counter packets \d+ bytes \d+", "", box.sh("nft list ruleset"))


def set_daemon_json(box: Box, **settings: object) -> None:
    there = json.loads(box.read(DAEMON_JSON))
    box.write(DAEMON_JSON, json.dumps({**there, **settings}))


def test_the_main_job_with_either_firewall_of_docker(box: Box) -> None:
    whole(box)
    before = rules(box)
    set_daemon_json(box, **{"firewall-backend": "nftables"})
    box.sh("ip netns exec containai sysctl -qw net.ipv4.ip_forward=0; systemctl restart containai-docker")
    assert "nftables" in box.docker("info --format '{{json .FirewallBackend}}'").expect(0).out
    whole(box)
    assert rules(box) == before, "dockerd changed rules of the machine"


def test_a_sysbox_without_time_namespaces_has_a_way_out(box: Box) -> None:
    path, sha256 = stage.packages()["0.7.0"]
    older = quoted(sysbox_version="0.7.0", sysbox_deb=path, sysbox_sha256={"amd64": sha256}, sysbox_downgrade="true")
    box.cai("setup", *older).expect(
        1, "does not exist", "sysbox_version=0.7.1", '"features": {"time-namespaces": false}'
    )
    set_daemon_json(box, features={"time-namespaces": False})
    box.sh("systemctl restart containai-docker")
    box.setup(*older)
    assert box.isolated()
