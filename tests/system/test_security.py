"""The product against hostile surroundings, on a real host: another user's PATH tricks, secrets, sockets, hostile values. SECURITY.md says what for."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.hosts import paths
from tests.system.box import CONFIG, SOCKET, VENV, Box, quoted

SECRET = "fl0hzirkus-direktor"
PROXY = {"HTTPS_PROXY": f"http://me:{SECRET}%40x@proxy.invalid:3128", "NO_PROXY": "localhost,127.0.0.1"}
EVIL = "/home/dev/evil"
# Everything that root could be made to call by its bare name. Each says who called it, and does what it is named after.
PROGRAMS = [
    *("docker", "dockerd", "containerd", "docker-proxy", "apt-get", "apt-cache", "dpkg", "dpkg-query", "dpkg-deb", "dpkg-divert", "python3", "env"),
    *("systemctl", "systemd-run", "journalctl", "groupadd", "usermod", "ip", "iptables", "nsenter", "unshare", "mount", "modprobe", "wslinfo"),
    *("ldd", "cat", "id", "ls", "getent", "tar", "limactl", "brew", "ps", "kill", "true"),
]  # fmt: skip
TRAP = (
    '#!/bin/sh\necho "$(/usr/bin/id -u) $0 $*" >>/opt/sprung\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec "${0##*/}" "$@"\n'
)
OURS = "/etc/systemd/system/containai* /usr/local/libexec/containai /var/lib/containai /run/docker-containai* /run/containai* /etc/docker /etc/apt/keyrings /etc/systemd/system/sysbox-mgr.service.d /etc/systemd/system/sysbox-fs.service.d"


def arm(made: Box) -> None:
    """Set the traps, on a PATH that the worst sudo there is hands on (Debian's has a secure_path), and give the settings a secret."""
    for name in PROGRAMS:
        made.write(f"{EVIL}/{name}", TRAP, 0o755)
    made.sh(f"chown -R dev: {EVIL}; install -m 666 /dev/null /opt/sprung")
    made.write("/etc/sudoers.d/path", 'Defaults !secure_path\nDefaults env_keep += "PATH"\n', 0o440)
    made.settings(**{**yaml.safe_load(made.read(CONFIG)), "docker_engine_proxy": PROXY})


@pytest.fixture
def box(hosts) -> Box:
    """A host that a developer with a hostile PATH has set up from bare, with a proxy that has a password."""
    made: Box = hosts.shared("security", dress="linux")
    if not made.ok(f"test -e {EVIL}"):
        arm(made)
        made.user("sudo", "true", options=HOSTILE_PATH).expect(0)
        assert by_root(made) == [f"0 {EVIL}/true"], "the trap does not work"
        made.cai("setup", options=HOSTILE_PATH).expect(0)
        made.write("/opt/sprung.setup", "\n".join(by_root(made)))
    return made


HOSTILE_PATH = (f"--setenv=PATH={EVIL}:{VENV}/bin:/usr/bin:/bin:/usr/sbin:/sbin",)


def by_root(box: Box) -> list[str]:
    """What root was made to run, since the last look."""
    said = box.sh("cat /opt/sprung; : >/opt/sprung").splitlines()
    return [line for line in said if line.startswith("0 ")]


def test_a_setup_runs_nothing_of_a_hostile_path_as_root(box):
    assert box.sh("cat /opt/sprung.setup") == ""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(line.split(), id=line, marks=() if line == "setup" else pytest.mark.slow)
        for line in ("setup", "setup --dry-run", "doctor --bundle /root/bundle.tar.gz", "uninstall --dry-run")
    ],
)
def test_root_itself_runs_nothing_of_it(box, command):
    """`su` without a dash, and a sudo that keeps PATH, leave root with the user's."""
    box.write("/root/.config/containai/config.yml", box.read(CONFIG))
    done = box.cai(*command, user="root", options=HOSTILE_PATH)
    assert by_root(box) == []
    assert done.code in (0, 1), done.text


def test_a_proxys_password_is_roots_alone(box):
    pid = box.sh("systemctl show -p MainPID --value containai-docker")
    assert f"HTTPS_PROXY={PROXY['HTTPS_PROXY']}" in box.sh(f"tr '\\0' '\\n' </proc/{pid}/environ")
    assert box.sh("stat -c '%a %U' /usr/local/libexec/containai/proxy.env") == "600 root"
    box.write("/opt/secret", SECRET, 0o644)
    readable = "find / -xdev -not -path '/home/dev/.config/*' -not -path /opt/secret -type f -readable -exec grep -lsFf /opt/secret {} +"
    assert box.shell(readable, user="ops").out == ""
    shown = (
        box.user("systemctl", "show", "containai-docker", user="ops").text
        + box.user("systemctl", "cat", "containai-docker", user="ops").text
    )
    assert "EnvironmentFile" in shown
    assert SECRET not in shown
    assert SECRET not in box.cai("setup", "--dry-run", "--json").text
    assert box.sh("grep -rlsFf /opt/secret /home/dev/.local /var/lib/containai/record.json /var/log", check=False) == ""
    assert box.sh("journalctl -o cat | grep -cFf /opt/secret", check=False) == "0"


def test_nobody_else_may_write_what_root_uses(box):
    assert (
        box.sh(
            f"find {OURS} -not -type l \\( -perm /0022 -o -not -user root \\) -not -name docker.sock -not -type s",
            check=False,
        )
        == ""
    )
    box.sh("rm -f /opt/sprung.ops")
    assert box.shell(f"find {OURS} -writable -not -type l 2>/dev/null", user="ops").out == ""


def test_the_record_and_the_run_folder_are_nobodys_to_prepare(box):
    """A link in a folder that everybody may write is what such attacks need; none of ours is there."""
    for line in (
        "ln -s /etc/shadow /var/lib/containai/record.json",
        "ln -sf /etc/shadow /run/containai-forwarding",
        "ln -s /etc/shadow /home/dev/.local/state/containai/x",
    ):
        assert box.shell(line, user="ops").code != 0
    assert (
        box.sh(
            "find /tmp /var/tmp -mindepth 1 -name '*cai*' -o -mindepth 1 -name '*containai*' -o -mindepth 1 -name 'ansible*'"
        )
        == ""
    )


def test_the_socket_is_the_groups(box):
    assert box.sh(f"stat -Lc '%a %U %G' {SOCKET}") == "660 root containai"
    assert box.sh("stat -Lc '%a %U %G' /run/docker-containai/containerd/containerd.sock") == "660 root root"
    assert box.sh("getent group containai").rpartition(":")[2] == "dev"
    assert "permission denied" in box.shell(f"docker -H unix://{SOCKET} version", user="ops").text
    assert box.shell("ls /run/docker-containai/containerd /var/lib/docker-containai", user="ops").code != 0


def test_no_daemon_of_ours_listens_on_a_network(box):
    listing = box.sh("ip netns exec containai ss -Hlntup; ss -Hlntup")
    print(listing)
    assert not re.search(r'"(dockerd|containerd|sysbox-\w+)"', listing)
    box.docker(
        "run -d --name listens -p 127.0.0.1:8099:80 --network bridge cai-test-image:1 sleep 1000"
    ) if box.isolated() else None
    assert re.search(r"127\.0\.0\.1:8099\b", box.sh("ss -Hlnt"))  # the look above does see listeners
    box.docker("rm -f listens").expect(0)


HARDENED = {
    "NoNewPrivileges": "yes", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
}  # fmt: skip


def test_the_network_unit_is_hardened_and_works(box):
    shown = dict(line.split("=", 1) for line in box.sh("systemctl show containai-network").splitlines() if "=" in line)
    assert {name: shown[name] for name in HARDENED} == HARDENED
    assert set(shown["CapabilityBoundingSet"].split()) == {
        "cap_net_admin",
        "cap_net_raw",
        "cap_sys_admin",
        "cap_dac_override",
    }
    assert set(shown["RestrictNamespaces"].split()) == {"mnt", "net"}
    assert shown["SystemCallFilter"].startswith("~")
    assert {"ptrace", "reboot", "keyctl"} <= set(shown["SystemCallFilter"].split())
    for unit in ("containai-network", "containai-docker", "containai-containerd"):
        print(box.sh(f"systemd-analyze security --no-pager {unit} | tail -1"))
    box.sh("systemctl restart containai-network containai-containerd containai-docker")
    box.sh("/usr/local/libexec/containai/network check")
    assert box.isolated()
    box.converged()


NAMES = sorted(
    (name, option["type"])
    for role in ("docker_engine", "sysbox", "docker_context")
    for name, option in yaml.safe_load((paths.ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())[
        "argument_specs"
    ]["main"]["options"].items()
    if option["type"] in ("str", "path", "list", "dict") and not option.get("choices")
)
SHELL = "/x $(touch /opt/pwned) `touch /opt/pwned`;touch /opt/pwned|touch /opt/pwned&\n[Service]\nExecStartPre=/bin/touch /opt/pwned\nTrusted: yes\n'\"\\"
JINJA = "{{ lookup('pipe', 'touch /opt/pwned') }}{% set x = lookup('pipe', 'touch /opt/pwned') %}"


def shaped(kind: str, text: str):
    return {"list": [text], "dict": {text: text, "amd64": text, "HTTPS_PROXY": text}}.get(kind, text)


@pytest.fixture
def units(box):
    """What root runs: it must be the same after the attempt."""
    look = f"cat {OURS.split()[0]} /etc/apt/sources.list.d/* /etc/systemd/system/sysbox-mgr.service.d/* | sha256sum; find /etc/systemd/system /usr/local/libexec | sort | sha256sum"
    before = box.sh(look)
    yield
    if box.sh(look) != before:  # a setting that is text was taken
        box.setup()
    assert box.sh(look) == before
    assert not box.ok("test -e /opt/pwned")


def some(names, *quick):
    """Mark all but a few as slow: each is a run of its own."""
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in names]


@pytest.mark.parametrize("name", some(dict(NAMES), "sysbox_sha256"))
def test_a_hostile_setting_is_refused_or_is_text(box, units, name):
    """Real runs, by -e and by config.yml: whatever holds a line break or a shell's or Jinja's language is done by nobody."""
    kind = dict(NAMES)[name]
    done = box.cai("setup", *quoted(**{name: shaped(kind, SHELL + JINJA)}))
    print(done.text)
    assert done.code in (0, 2, 3) or "failed" in done.text
    done.expect(done.code)
    before = box.read(CONFIG)
    box.settings(**{**yaml.safe_load(before), name: shaped(kind, JINJA)})
    again = box.cai("setup", "--dry-run")
    box.write(CONFIG, before)
    again.expect(again.code)
    assert not box.ok("test -e /opt/pwned")


TEMPLATED = [
    name
    for name, _ in NAMES
    if name.startswith("docker_engine_") and name.removeprefix("docker_engine_") not in ("user", "runtimes")
]


@pytest.mark.parametrize("name", some(TEMPLATED, "docker_engine_group"))
def test_plain_ansible_playbook_refuses_what_would_end_in_a_unit(box, units, name):
    value = json.dumps({name: shaped(dict(NAMES)[name], SHELL)})
    box.write("/opt/extra.json", value)
    folder = box.cai("path").out.strip()
    line = f"cd {folder} && ansible-playbook -i inventory/localhost.yml playbooks/site.yml -e @{CONFIG} -e @/opt/extra.json"
    done = box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",))
    assert done.code == 2
    # Ansible itself refuses another shape.
    assert re.search(f"(The variable|for option) '?{name}'?", done.text)
    assert "changed=0" in done.text
    assert not box.ok("test -e /opt/pwned")
