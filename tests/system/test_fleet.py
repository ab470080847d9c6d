"""The playbooks as an ops team runs them, with plain `ansible-playbook`: whole, by tags, from a package and from a clone."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.hosts import host, paths
from tests.system import snapshot
from tests.system.box import Box, quoted

# As docs/fleet.md names them.
TAGS = re.findall(r"`(\w+)`", (paths.ROOT / "docs/fleet.md").read_text().split("**Tags**:")[1].split(". ")[0])
RECAP = "failed=0"


@pytest.fixture
def converged(hosts) -> Box:
    return hosts.shared("fleet", state="converged")


@pytest.fixture
def folder(converged: Box) -> str:
    """Where the installed package has its playbooks."""
    return converged.cai("path").expect(0).out.strip()


def play(box: Box, folder: str, *words: str):
    line = f"cd {folder} && ansible-playbook -i inventory/localhost.yml playbooks/wsl2.yml -e @/home/dev/.config/containai/config.yml {' '.join(words)}"
    return box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",))


@pytest.mark.slow
def test_a_part_that_needs_another_first_says_so_and_changes_nothing(hosts, folder: str) -> None:
    box: Box = hosts("fleet-bare")
    ignored = (*snapshot.LOGS, "/home/dev/.ansible")  # Ansible's own
    before = box.snapshot(ignore=ignored)
    done = play(box, folder, "--tags", "docker_engine_configure")
    assert done.code == 2, done.text
    assert "There is no dockerd" in done.text
    assert "--tags docker_engine_install" in done.text
    assert "undefined" not in done.text
    assert snapshot.difference(before, box.snapshot(ignore=ignored)) == []


# Molecule does it without check mode.
@pytest.mark.parametrize("words", [pytest.param((), id="run", marks=pytest.mark.slow), ("--check", "--diff")])
def test_the_bundled_playbooks_run_with_plain_ansible_playbook(
    converged: Box, folder: str, words: tuple[str, ...]
) -> None:
    done = play(converged, folder, *words).expect(0, RECAP, "changed=0")
    print("\n".join(done.out.splitlines()[-3:]))


def test_the_document_names_tags() -> None:
    assert len(TAGS) >= 6, TAGS


@pytest.mark.slow
@pytest.mark.parametrize("tag", TAGS)
def test_each_tag_alone_runs_its_part(converged: Box, folder: str, tag: str) -> None:
    done = play(converged, folder, "--tags", tag).expect(0, RECAP, "changed=0")
    assert " ok=4 " not in done.out, "what always runs, and nothing else"


@pytest.mark.slow
def test_a_part_alone_mends_what_is_its_own(converged: Box, folder: str) -> None:
    converged.sh("echo '# mine' >>/usr/local/libexec/containai/network")
    play(converged, folder, "--tags", "sysbox_configure").expect(0, RECAP, "changed=0")
    play(converged, folder, "--tags", "docker_engine_configure").expect(0, RECAP, "changed=1")
    converged.sh("systemctl stop containai-docker")
    play(converged, folder, "--tags", "sysbox_configure").expect(0, RECAP, "changed=1")
    assert converged.isolated()


@pytest.mark.slow
def test_what_the_playbooks_choose_is_no_setting(converged: Box, folder: str) -> None:
    names = (
        "docker_engine_dedicated=false",
        "docker_engine_daemon_json=/etc/docker/other.json",
        "sysbox_socket=/run/x",
    )
    play(converged, folder, *(f"-e {name}" for name in names)).expect(0, RECAP, "changed=0")
    before = converged.snapshot()
    for name in names:
        converged.cai("setup", "-e", name).expect(2, "no setting named", "did you mean")
    assert snapshot.difference(before, converged.snapshot()) == []


@pytest.mark.slow
def test_a_proxys_password_leaves_no_hash_that_others_read_and_goes_with_the_setting(converged: Box) -> None:
    file = "/usr/local/libexec/containai/proxy.env"
    proxy = quoted(docker_engine_proxy={"HTTPS_PROXY": "http://me:pw@proxy.invalid:3128"})
    converged.setup(*proxy)
    salt, _, content = converged.read(file).decode().partition("\n")
    shown = converged.sh("cat /var/lib/containai/record.json /etc/systemd/system/containai-*")
    assert hashlib.sha256(converged.read(file)).hexdigest() in shown
    assert hashlib.sha256(content.encode()).hexdigest() not in shown
    assert salt.split()[-1] not in shown
    assert "changed" not in converged.setup(*proxy).out.replace("nothing had to be changed", "")
    converged.cai("setup", "--dry-run", *proxy).expect(0, "nothing to change")  # without root's rights
    plan = converged.cai("setup", "--dry-run", "--json").expect(0).document
    assert {"verb": "remove", "what": file}.items() <= next(
        one for one in plan["actions"] if one["what"] == file
    ).items()
    converged.setup()
    assert not converged.ok(f"ls {file}")
    assert file not in converged.sh("cat /var/lib/containai/record.json /etc/systemd/system/containai-docker.service")
    converged.converged()


@pytest.mark.slow
def test_the_playbooks_of_a_clone_run_with_plain_ansible_playbook(converged: Box, tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=paths.ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    with tarfile.open(tmp_path / "clone.tar", "w") as tar:
        for name in listed:
            if name and (paths.ROOT / name).is_file():
                tar.add(paths.ROOT / name, name)
    host.copy(converged.name, tmp_path / "clone.tar", "/opt/clone.tar")
    converged.sh(
        "mkdir -p /home/dev/clone && tar -xf /opt/clone.tar -C /home/dev/clone && chown -R dev: /home/dev/clone"
    )
    play(converged, "/home/dev/clone").expect(0, RECAP, "changed=0")
