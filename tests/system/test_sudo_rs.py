"""The real sudo-rs (Debian's package) under the name of sudo, as Ubuntu 25.10 and newer have it: Ansible does not know its question for a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import snapshot
from tests.system.box import PASSWORD, VENV, Box

pytestmark = pytest.mark.slow


@pytest.fixture
def core() -> str:
    return ""


@pytest.fixture
def box(hosts, core: str) -> Iterator[Box]:
    made: Box = hosts("sudo-rs", suite="trixie", dress="linux", trusted=False, core=core)
    made.sh("apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends sudo-rs")
    made.sh("dpkg-divert --local --rename --divert /usr/bin/sudo.ws --add /usr/bin/sudo && ln -s sudo-rs /usr/bin/sudo")
    made.sh(f"echo 'dev:{PASSWORD}' | chpasswd")
    yield made
    hosts.drop(made.name)


def test_with_the_classic_one_beside_it_the_password_is_asked_for_once(box: Box) -> None:
    assert "sudo-rs" in box.sh("sudo --version 2>&1")
    child = box.person("uninstall", "--yes")
    child.expect("password for dev: ")
    child.sendline(PASSWORD)
    text = child.read()
    child.close()
    print(text)
    assert child.exitstatus == 0, text
    assert "Nothing was left to remove" in text


@pytest.mark.parametrize("core", ["2.22"])
def test_alone_it_will_do_under_an_ansible_that_knows_it(box: Box, core: str) -> None:
    box.sh("mv /usr/bin/sudo.ws /usr/bin/put-away")
    child = box.person("setup")
    child.expect("password for dev: ")
    child.sendline(PASSWORD)
    text = child.read()
    child.close()
    assert child.exitstatus == 0, text
    assert box.isolated()


def test_alone_it_is_refused_before_anything_changes(box: Box) -> None:
    box.sh("mv /usr/bin/sudo.ws /usr/bin/put-away")
    before = box.snapshot()
    done = box.cai("setup").expect(3, "The sudo here is sudo-rs", "sudo.ws", "Hint: ", f"sudo {VENV}/bin/cai setup")
    print(done.text)
    assert snapshot.difference(before, box.snapshot()) == []


def test_alone_it_will_do_where_it_asks_for_no_password(box: Box) -> None:
    box.sh("mv /usr/bin/sudo.ws /usr/bin/put-away")
    box.trust_dev()
    print(box.cai("uninstall", "--yes").expect(0, "Nothing was left to remove").text)
