"""What becomes of a daemon.json, whatever it is, while the package's own scripts would rewrite it. Sysbox is installed anew for each file."""

from __future__ import annotations

import json

import pytest

from tests.system import snapshot
from tests.system.box import Box

FILE = "/etc/docker/daemon.json"
RUNTIME = {"path": "/usr/bin/sysbox-runc"}
TABS = '{\n\t"log-driver": "json-file",\n\t"log-opts": {\n\t\t"max-size": "10m"\n\t}\n}\n'
POOLS = '{\n  "default-address-pools": [{"base": "10.66.0.0/16", "size": 24}],\n  "bip": "10.65.0.1/24"\n}\n'
# An access list by which user 1001 may read it (version 2; tag, permissions, id of each entry), and a mark of somebody's.
ATTRIBUTES = f"""
import os, struct
entries = ((1, 6, -1), (2, 4, 1001), (4, 4, -1), (16, 4, -1), (32, 0, -1))
os.setxattr("{FILE}", "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries))
os.setxattr("{FILE}", "user.mark", b"theirs")
"""
ABOUT = f"stat -c '%a %u:%g %h' {FILE} && python3 -c 'import os; print({{name: os.getxattr(\"{FILE}\", name) for name in os.listxattr(\"{FILE}\")}})'"
ODD = '{"debug":false,\n      "labels": [ "a=b"  ] ,"max-concurrent-downloads":  3}'


@pytest.fixture
def box(hosts) -> Box:
    return hosts.shared("json", dress="linux", state="converged")


@pytest.fixture
def bare(box: Box):
    """Without Sysbox, without a daemon.json, and the engine stopped, so that dockerd starts with the file of the test."""
    box.purge_sysbox()
    box.sh(f"rm -rf {FILE} /etc/docker/elsewhere.json; systemctl reset-failed containai-docker", check=False)
    return box


def mode_and_owner(box: Box, path: str) -> str:
    return box.sh(f"stat -c '%a %u:%g %F' {path}")


def inserted(before: bytes, after: bytes) -> bool:
    """Whether `after` is `before` with one stretch of bytes put in."""
    same = next(
        (i for i, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )
    rest = len(before) - same
    return after[:same] == before[:same] and (rest == 0 or after[-rest:] == before[-rest:])


def gained_the_runtime_alone(before: bytes, after: bytes) -> None:
    value = json.loads(before) if before.strip() else {}
    value.setdefault("runtimes", {})["sysbox-runc"] = RUNTIME
    found = json.loads(after)
    assert found == value
    assert list(found) == list(value), "the order of the keys"


def works(box: Box) -> None:
    box.converged()
    assert box.isolated()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="none", marks=pytest.mark.slow),
        pytest.param(TABS, id="tabs"),
        pytest.param(POOLS, id="network-settings", marks=pytest.mark.slow),
        pytest.param(ODD, id="odd-layout", marks=pytest.mark.slow),
        pytest.param(
            '{\n  "runtimes": {"other": {"path": "/usr/bin/runc"}},\n  "debug": false\n}\n',
            id="another-runtime",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_exactly_one_key_more_and_every_other_byte_as_it_was(bare: Box, content):
    if content is not None:
        bare.write(FILE, content, 0o640, (0, 27))
        bare.sh(f"python3 -c '{ATTRIBUTES}'")
    before = bare.sh(ABOUT, check=False)
    bare.setup()
    if content is not None:
        assert bare.sh(ABOUT) == before
    after = bare.read(FILE)
    print(after.decode())
    gained_the_runtime_alone((content or "").encode(), after)
    if content:
        assert inserted(content.encode(), after)
    works(bare)
    assert bare.read(FILE) == after


@pytest.mark.slow
def test_a_symbolic_link_stays_and_its_target_gains_the_key(bare: Box):
    bare.write("/etc/docker/elsewhere.json", TABS, 0o640, (0, 4))
    bare.sh(f"ln -s elsewhere.json {FILE}")
    bare.setup()
    assert bare.sh(f"readlink {FILE}") == "elsewhere.json"
    assert mode_and_owner(bare, "/etc/docker/elsewhere.json") == "640 0:4 regular file"
    gained_the_runtime_alone(TABS.encode(), bare.read("/etc/docker/elsewhere.json"))
    works(bare)


@pytest.mark.slow
def test_an_entry_with_another_path_is_corrected_and_said(bare: Box):
    bare.write(FILE, '{\n  "runtimes": {"sysbox-runc": {"path": "/opt/old/sysbox-runc"}},\n  "debug": false\n}\n')
    done = bare.setup().expect(0, "/opt/old/sysbox-runc")
    print(done.text)
    assert json.loads(bare.read(FILE)) == {"runtimes": {"sysbox-runc": RUNTIME}, "debug": False}
    works(bare)


@pytest.mark.slow
def test_somebodys_default_runtime_is_left_and_warned_about(bare: Box):
    content = '{\n  "default-runtime": "sysbox-runc"\n}\n'
    bare.write(FILE, content)
    done = bare.setup().expect(0, "default runtime")
    print(done.text)
    gained_the_runtime_alone(content.encode(), bare.read(FILE))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param('{\n  // mine\n  "debug": true\n}\n', "line 2, column 3", id="comment", marks=pytest.mark.slow),
        pytest.param('{"hosts": ["unix:///var/run/docker.sock"]}', '"hosts"', id="hosts"),
        pytest.param('{"data-root": "/srv/docker"}', '"data-root"', id="data-root", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_change(box: Box, content, said):
    own = box.read(FILE)
    box.write(FILE, content)
    before = box.snapshot(times=True)
    done = box.cai("setup")
    print(done.text)
    done.expect(3, FILE, said, "sysbox_daemon_json")
    assert snapshot.difference(before, box.snapshot(times=True)) == []
    box.cai("setup", "--dry-run").expect(3, said)
    box.write(FILE, own)


@pytest.mark.slow
def test_with_a_file_of_its_own_the_unfitting_one_stays_untouched(hosts):
    box: Box = hosts("json-other", dress="linux", state="converged")
    box.write(FILE, '{"hosts": ["unix:///var/run/docker.sock"]}')
    before = mode_and_owner(box, FILE), box.read(FILE)
    box.setup("-e", "sysbox_daemon_json=/etc/containai/daemon.json")
    assert (mode_and_owner(box, FILE), box.read(FILE)) == before
    assert json.loads(box.read("/etc/containai/daemon.json")) == {"runtimes": {"sysbox-runc": RUNTIME}}
    assert box.isolated()
    hosts.drop(box.name)
