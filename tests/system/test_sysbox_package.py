"""Sysbox as a package: upgrades, a newer one, a wrong one, one that does not isolate, and servers that misbehave."""

from __future__ import annotations

import pytest

from tests.system import servers, snapshot
from tests.system.box import SOCKET, Box, quoted

VERSION = "dpkg-query -W -f '${Version}' sysbox-ce"


@pytest.fixture
def converged(hosts) -> Box:
    return hosts.shared("sysbox", dress="linux", state="converged")


def of(packages, name, version):
    path, sha256 = packages[name]
    return quoted(sysbox_version=version, sysbox_deb=path, sysbox_sha256={"amd64": sha256})


def test_a_wrong_checksum_installs_nothing_and_the_next_run_succeeds(converged: Box):
    converged.purge_sysbox()
    done = converged.cai("setup", *quoted(sysbox_sha256={"amd64": "0" * 64}))
    print(done.text)
    done.expect(1, "0" * 64, "sha256", "is needed")
    assert not converged.ok("dpkg -s sysbox-ce")
    assert not converged.ok("test -e /usr/bin/sysbox-runc")
    assert converged.ok("test -e /opt/debs/sysbox-ce_0.7.1.linux_amd64.deb")
    assert converged.sh("ls -A /var/lib/containai/downloads", check=False) == ""
    converged.setup()
    assert converged.isolated()


@pytest.mark.slow
def test_an_upgrade_is_refused_while_a_sysbox_container_runs_and_the_remedy_as_printed_lets_it_through(hosts):
    box: Box = hosts("sysbox-old", state="older-sysbox")
    assert box.sh(VERSION) == "0.7.0.linux"
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

    box.docker("stop -t 0 agent-one").expect(0)
    print(box.setup().text)
    assert box.sh(VERSION) == "0.7.1.linux"
    assert box.isolated()
    assert box.docker("ps -aq --filter name=agent-one").expect(0).out.strip()
    box.converged()
    hosts.drop(box.name)


@pytest.mark.slow
def test_a_newer_one_stays_with_a_warning(converged: Box, packages):
    done = converged.cai("setup", *of(packages, "0.7.0", "0.7.0")).expect(
        0, "newer than 0.7.0", "sysbox_downgrade=true"
    )
    print(done.text)
    assert converged.sh(VERSION) == "0.7.1.linux"


@pytest.mark.slow
def test_another_package_than_asked_for_is_refused(converged: Box, packages):
    path, sha256 = packages["0.7.0"]
    converged.purge_sysbox()
    done = converged.cai("setup", *quoted(sysbox_deb=path, sysbox_sha256={"amd64": sha256}))
    print(done.text)
    assert done.code in (1, 3)
    done.expect(done.code, "0.7.0", "0.7.1")
    assert not converged.ok("dpkg -s sysbox-ce")
    assert converged.sh("ls -A /var/lib/containai/downloads") == ""
    converged.setup()


def test_a_runtime_that_does_not_isolate_fails_the_run(hosts, packages):
    path, sha256 = packages["not-isolating"]
    box: Box = hosts("not-isolating", dress="linux", state="converged")
    box.purge_sysbox()
    done = box.cai("setup", *quoted(sysbox_deb=path, sysbox_sha256={"amd64": sha256}))
    print(done.text)
    done.expect(1, "not isolated", "Hint:", "Log:")
    hosts.drop(box.name)


@pytest.fixture
def server(converged: Box, packages):
    with servers.serving(converged, packages["0.7.1"][0]) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "said"), servers.KINDS.items())
def test_a_server_that_misbehaves_fails_the_run_and_the_next_one_succeeds(converged: Box, server, kind, said):
    converged.purge_sysbox()
    done = converged.cai("setup", *quoted(sysbox_deb=f"{server}/{kind}/sysbox.deb"))
    print(f"{done.seconds:.1f} s\n{done.text}")
    done.expect(1, said, "sysbox.deb", "Hint:")
    assert not converged.ok("dpkg -s sysbox-ce")
    assert converged.sh("ls -A /var/lib/containai/downloads", check=False) == ""
    converged.setup("-e", f"sysbox_deb={server}/good/sysbox.deb")
    assert converged.isolated()


@pytest.mark.slow
def test_a_server_that_is_not_there(converged: Box):
    converged.purge_sysbox()
    done = converged.cai("setup", *quoted(sysbox_deb="http://127.0.0.1:1/sysbox.deb"))
    print(done.text)
    done.expect(1, "refused", "Hint:")
    converged.setup()
