"""Sysbox as a package: upgrades, a newer one, a wrong one, one that does not isolate, and servers that misbehave."""

from __future__ import annotations

import pytest

from tests.system import servers, snapshot
from tests.system.box import SOCKET, Box, quoted

VERSION = "dpkg-query -W -f '${Version}' sysbox-ce"


@pytest.fixture(scope="module")
def box(hosts):
    return hosts("sysbox", "bookworm", dress="linux")


def of(packages, name, version):
    path, sha256 = packages[name]
    return quoted(sysbox_version=version, sysbox_deb=path, sysbox_sha256={"amd64": sha256})


def test_a_wrong_checksum_installs_nothing_and_the_next_run_succeeds(box: Box):
    done = box.cai("setup", *quoted(sysbox_sha256={"amd64": "0" * 64}))
    print(done.text)
    done.expect(1, "0" * 64, "sha256", "is needed")
    assert not box.ok("dpkg -s sysbox-ce")
    assert not box.ok("test -e /usr/bin/sysbox-runc")
    assert box.ok("test -e /opt/debs/sysbox-ce_0.7.1.linux_amd64.deb")
    assert "sysbox" not in box.sh("cat /etc/docker/daemon.json", check=False)
    assert box.sh("ls -A /var/lib/containai/downloads", check=False) == ""


def test_an_older_version_by_setting(box: Box, packages):
    box.setup(*of(packages, "0.7.0", "0.7.0"))
    assert box.sh(VERSION) == "0.7.0.linux"
    assert box.isolated()


def test_an_upgrade_is_refused_while_a_sysbox_container_runs(box: Box):
    box.start_sysbox_container("agent-one")
    before = box.snapshot(times=True)
    done = box.cai("setup")
    print(done.text)
    done.expect(3, "agent-one", f"docker --host unix://{SOCKET} stop agent-one")
    difference = [
        line
        for line in snapshot.difference(before, box.snapshot(times=True))
        if "/var/lib/docker-containai" not in line
    ]
    assert difference == []
    assert box.docker("ps -q --filter name=agent-one").expect(0).out.strip()
    box.cai("setup", "--dry-run").expect(3, "agent-one")


def test_the_remedy_as_printed_lets_the_upgrade_through(box: Box):
    box.docker("stop -t 0 agent-one").expect(0)
    done = box.setup()
    print(done.text)
    assert box.sh(VERSION) == "0.7.1.linux"
    box.docker("info").expect(0)
    assert box.isolated()
    assert box.docker("ps -aq --filter name=agent-one").expect(0).out.strip()
    box.converged()


def test_a_newer_one_stays_with_a_warning(box: Box, packages):
    done = box.cai("setup", *of(packages, "0.7.0", "0.7.0")).expect(0, "newer than 0.7.0", "sysbox_downgrade=true")
    print(done.text)
    assert box.sh(VERSION) == "0.7.1.linux"


def test_another_package_than_asked_for_is_refused(box: Box, packages):
    path, sha256 = packages["0.7.0"]
    box.purge_sysbox()
    done = box.cai("setup", *quoted(sysbox_deb=path, sysbox_sha256={"amd64": sha256}))
    print(done.text)
    assert done.code in (1, 3)
    done.expect(done.code, "0.7.0", "0.7.1")
    assert not box.ok("dpkg -s sysbox-ce")
    assert box.sh("ls -A /var/lib/containai/downloads") == ""


def test_a_runtime_that_does_not_isolate_fails_the_run(box: Box, packages):
    path, sha256 = packages["not-isolating"]
    done = box.cai("setup", *quoted(sysbox_deb=path, sysbox_sha256={"amd64": sha256}))
    print(done.text)
    done.expect(1, "not isolated", "Hint:", "Log:")
    box.purge_sysbox()
    box.setup()
    assert box.isolated()


@pytest.fixture(scope="module")
def server(box: Box, packages):
    with servers.serving(box, packages["0.7.1"][0]) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "said"), servers.KINDS.items())
def test_a_server_that_misbehaves_fails_the_run_and_the_next_one_succeeds(box: Box, server, kind, said):
    box.purge_sysbox()
    done = box.cai("setup", *quoted(sysbox_deb=f"{server}/{kind}/sysbox.deb"))
    print(f"{done.seconds:.1f} s\n{done.text}")
    done.expect(1, said, "sysbox.deb", "Hint:")
    assert not box.ok("dpkg -s sysbox-ce")
    assert box.sh("ls -A /var/lib/containai/downloads", check=False) == ""
    box.setup("-e", f"sysbox_deb={server}/good/sysbox.deb")
    assert box.isolated()


@pytest.mark.slow
def test_a_server_that_is_not_there(box: Box):
    box.purge_sysbox()
    done = box.cai("setup", *quoted(sysbox_deb="http://127.0.0.1:1/sysbox.deb"))
    print(done.text)
    done.expect(1, "refused", "Hint:")
    box.setup()
