"""Docker is upgraded when that is asked for, and never under running containers or another Docker: Ubuntu's older docker.io, then its newest."""

from __future__ import annotations

import json

import pytest

from tests.system.box import IMAGE, SOCKET, Box

pytestmark = pytest.mark.slow  # a real upgrade, after which the engine starts with another dockerd
UPGRADE = ("-e", "docker_engine_upgrade=true")
RESTART = ("-e", "docker_engine_restart_containers=true")


@pytest.fixture
def box(hosts) -> Box:
    """A host whose Docker is older than what its distribution has by now."""
    made: Box = hosts("docker-upgrade", dress="linux", setup="plain", state="older-docker")
    assert not candidate(made).startswith(running(made)), "there is nothing newer to upgrade to"
    return made


def running(box: Box) -> str:
    """The version of the Docker that answers. The docker command of Docker 29 refuses an engine as old as the first one here, so it is not asked."""
    return str(json.loads(box.sh(f"curl -s --unix-socket {SOCKET} http://engine/info"))["ServerVersion"])


def packages(box: Box) -> str:
    return box.sh("dpkg-query -W -f '${Package} ${Version}\\n' docker.io containerd runc")


def processes(box: Box) -> str:
    """Of both engines: who runs, and since when."""
    units = "docker containerd containai-docker containai-containerd"
    return box.sh(f"systemctl show -p Id,MainPID,ActiveState,InvocationID,UnitFileState {units}")


def candidate(box: Box) -> str:
    return box.sh("apt-cache policy docker.io | awk '/Candidate:/ {print $2}'")


def test_an_upgrade_is_asked_for_and_ends_nothing_of_others(box: Box) -> None:
    old, new = packages(box), candidate(box)
    assert new not in old

    before = processes(box)
    box.converged()
    assert (packages(box), processes(box)) == (old, before), "upgraded, and nobody had asked for it"

    files = box.snapshot()
    plan = box.cai("setup", "--dry-run", *UPGRADE)
    print(plan.text)
    plan.expect(0, f"docker.io {new} (upgrade of ", "would restart  containai-docker.service")
    assert box.snapshot() == files, "a dry run changed something"

    box.sh("systemctl enable --now docker; docker load -q -i /opt/images/user-image.tar")
    box.sh(f"docker run -d --name theirs --network none {IMAGE} sleep 10000")
    theirs, before = box.sh("docker inspect -f '{{.State.Pid}} {{.State.StartedAt}}' theirs"), processes(box)
    for more in (("--dry-run",), RESTART):
        refused = box.cai("setup", *UPGRADE, *more)
        print(refused.text)
        refused.expect(3, "docker.service", "sudo apt-get install --only-upgrade docker.io", "Nothing was changed")
        assert (packages(box), processes(box)) == (old, before), "the other Docker, or ours, was changed"
    assert box.sh("docker inspect -f '{{.State.Pid}} {{.State.StartedAt}}' theirs") == theirs
    box.sh("docker rm -f theirs; systemctl disable --now docker.service docker.socket containerd.service")

    box.start_sysbox_container("work")
    box.docker(f"run -d --name back --restart always --network none {IMAGE} sleep 10000").expect(0)
    before = processes(box)
    refused = box.cai("setup", *UPGRADE)
    print(refused.text)
    refused.expect(3, "work", "back", "docker_engine_restart_containers=true")
    assert (packages(box), processes(box)) == (old, before), "refused, and changed all the same"

    done = box.setup(*UPGRADE, *RESTART)
    print(done.text)
    assert f"docker.io {new} (upgrade of " in done.text
    assert "Changed by others meanwhile: the package" not in done.text
    assert new in packages(box)
    assert new.startswith(running(box))
    assert box.isolated()
    assert "back" in box.docker("ps --format '{{.Names}}'").expect(0).out
    assert not box.ok("systemctl is-active -q docker.service || systemctl is-active -q containerd.service")
    assert not box.ok("systemctl is-enabled -q docker.service || systemctl is-enabled -q docker.socket")
    before = processes(box)
    assert box.cai("setup", "--json", *UPGRADE).expect(0).document["changed"] == 0
    assert processes(box) == before, "nothing was to be upgraded, and the engine was restarted"


def test_what_somebody_else_upgrades_under_the_engine_is_named_and_mended(box: Box) -> None:
    old, new = running(box), candidate(box)
    box.start_sysbox_container("work")
    box.sh("DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --only-upgrade docker.io")
    box.sh("systemctl daemon-reload")  # that script does without
    before = processes(box)  # with a docker.service that the package's own script has started
    assert running(box) == old

    found = box.health()["engine"]
    print(found)
    assert found["status"] == "warn"
    assert f"Docker {old} answers" in found["found"]
    assert "docker_engine_restart_containers=true" in found["hint"]
    done = box.cai("setup")  # whose test container the docker command of Docker 29 does not start in so old an engine
    print(done.text)
    assert "warning  Docker was upgraded while the engine ran." in done.text
    assert processes(box) == before, "containers were ended, or the engine restarted, unasked"

    box.sh(f"curl -s --unix-socket {SOCKET} -X DELETE 'http://engine/containers/work?force=1'")
    assert "`cai setup`" in box.health()["engine"]["hint"]
    box.setup()
    assert new.startswith(running(box))
    assert box.health()["engine"]["status"] == "pass"
    box.converged()
