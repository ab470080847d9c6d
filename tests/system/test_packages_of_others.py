"""apt removes nothing that setup did not bring; a Docker that is in use by the time of the uninstall stays whole."""

from __future__ import annotations

import pytest

from tests.hosts.doubles import desktop, docker_repository
from tests.system.box import Box, quoted


@pytest.fixture
def podman(hosts) -> Box:
    """`/run/docker.sock` leads to Podman, which makes up an ID for each answer."""
    made: Box = hosts("podman", "trixie", "none", "linux", "podman")
    made.sh("systemctl enable --now podman.socket")
    return made


@pytest.fixture
def docker(hosts) -> Box:
    return hosts("kept-docker", dress="linux", state="converged")


def packages(box: Box) -> str:
    return box.sh("dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'")


def test_podmans_docker_stays_where_its_removal_is_not_allowed(podman: Box) -> None:
    before = packages(podman)
    for options in (("--dry-run",), ()):
        done = podman.cai("setup", *options)
        done.expect(3, "apt would remove podman-docker", "docker_engine_allow_removal")
        assert packages(podman) == before
        assert not podman.ok("ls /var/lib/containai/record.json || ls /etc/systemd/system/containai-docker.service")


@pytest.mark.slow
def test_podmans_docker_goes_where_that_is_allowed(podman: Box) -> None:
    podman.setup("-e", 'docker_engine_allow_removal=["podman-docker"]')
    assert not podman.ok("dpkg-query -W -f '${db:Status-Abbrev}' podman-docker | grep -q ^ii")
    assert podman.ok("dpkg-query -W podman")
    podman.cai("uninstall", "--yes", "--purge").expect(0, "apt-get install podman-docker")


def test_a_docker_that_is_used_by_now_stays_whole(docker: Box) -> None:
    assert docker.sh("getent group docker")
    docker.sh(
        "systemctl enable --now docker; touch /opt/containerd/bin/mine 2>/dev/null || { mkdir -p /opt/containerd/bin; touch /opt/containerd/bin/mine; }"
    )
    print(docker.cai("uninstall", "--yes", "--purge").expect(0, "is in use by now").text)
    assert docker.ok("getent group docker"), "its socket's group is gone"
    assert docker.sh("stat -Lc %G /run/docker.sock") == "docker"
    assert docker.ok("test -e /opt/containerd/bin/mine")
    docker.sh("systemctl restart docker && docker info >/dev/null && docker load -q -i /opt/images/user-image.tar")
    assert "works" in docker.sh("docker run --rm --network none cai-test-image:1 echo works")
    assert not docker.ok("getent group containai || test -e /var/lib/containai")


@pytest.mark.slow
def test_a_docker_of_dockers_repository_that_stays_keeps_it_and_the_diversion(hosts) -> None:
    """Docker Desktop's link is /usr/bin/docker; by the time of the uninstall somebody uses the packages that setup brought."""
    box: Box = hosts("kept-repository", "noble")
    desktop.install(box.name)
    fingerprint = docker_repository.install(box.name)
    link = box.sh("readlink /usr/bin/docker")
    box.setup(
        *quoted(
            docker_engine_source="docker",
            docker_engine_apt_url=f"file://{docker_repository.IN_HOST}",
            docker_engine_apt_key_url=f"file://{docker_repository.IN_HOST}/gpg",
            docker_engine_apt_key_fingerprint=fingerprint,
        )
    )
    kept = "/etc/apt/keyrings/containai-docker.gpg /etc/apt/sources.list.d/containai-docker.sources /usr/bin/docker.containai"
    box.sh(f"ls {kept}; systemctl enable --now docker")
    diversion = box.sh("dpkg-divert --list /usr/bin/docker")
    box.cai("uninstall", "--yes", "--purge").expect(0, "is in use by now")
    box.sh(f"ls {kept}; apt-get -qq update; apt-get -qq check")
    assert box.sh("dpkg-divert --list /usr/bin/docker") == diversion
    assert box.sh("readlink /usr/bin/docker") == link
    box.sh("systemctl restart docker && /usr/bin/docker.containai -H unix:///run/docker.sock info >/dev/null")
