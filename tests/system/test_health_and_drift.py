"""Each part of a healthy host broken in turn: `cai doctor` names that part and no other, what it prints mends it, and so does `cai setup`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.box import SOCKET, Box, command_in

FILE = "/etc/docker/daemon.json"
UNIT = "/etc/systemd/system/containai-docker.service"


@dataclass
class Break:
    """How to break a part, which findings must then fail, and which may not be known."""

    line: str
    fails: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    user: str = "root"
    settled: str = "true"  # what holds once the break is done


BREAKS = {
    "unit-stopped": Break("systemctl stop containai-docker", ("engine",), ("isolation",)),
    "context-edited": Break(
        "docker context update containai-secure --docker host=unix:///var/run/docker.sock",
        ("docker context",),
        user="dev",
    ),
    "socket-mode": Break(f"chmod 600 {SOCKET}", ("socket",), ("engine", "isolation", "network")),
    "socket-removed": Break(f"rm {SOCKET}", ("socket", "engine"), ("isolation", "network")),
    "runtime-removed": Break(f"echo '{{}}' > {FILE}", ("runtime",)),
    "sysbox-fs-killed": Break(
        "systemctl kill -s KILL sysbox-fs",
        ("Sysbox services",),
        ("isolation",),
        settled="! systemctl is-active -q sysbox-fs && ! systemctl is-active -q sysbox",
    ),
    "daemon-json-invalid": Break(f"printf '{{\"debug\": tru' > {FILE}", ("runtime",)),
    "namespace-deleted": Break("ip netns delete containai", ("network", "published port")),
    # As a Docker would be that no longer starts our program for a published port.
    "port-lost": Break(
        "printf '#!/bin/sh\\nexec docker-proxy \"$@\"\\n' >/usr/local/libexec/containai/docker-proxy",
        ("published port",),
    ),
    "link-deleted": Break("ip link delete cai0", ("network",)),
    "context-deleted": Break("docker context rm -f containai-secure", ("docker context",), user="dev"),
    "containerd-stopped": Break(
        "systemctl stop containai-containerd",
        ("engine",),
        ("isolation",),
        settled="! systemctl is-active -q containai-docker",
    ),
    "sysbox-stopped": Break("systemctl stop sysbox", ("Sysbox services",), ("isolation",)),
}


def cases(*quick: str) -> list[Any]:
    """All breaks; all but the quick ones are slow."""
    return [pytest.param(name, id=name, marks=() if name in quick else pytest.mark.slow) for name in BREAKS]


# What doctor need not see as dev, but setup must mend all the same.
DRIFTS = {
    "unit-edited": f"sed -i 's/^RestartSec=2/RestartSec=77/' {UNIT} && systemctl daemon-reload",
    "unit-deleted": f"rm {UNIT} && systemctl daemon-reload",
    "unit-disabled": "systemctl disable containai-docker",
    "rules-flushed": "iptables -F && iptables -t nat -F",
    "proxy-deleted": "rm /usr/local/libexec/containai/docker-proxy",
    "drop-in-deleted": "rm -r /etc/systemd/system/sysbox-mgr.service.d && systemctl daemon-reload",
    "not-in-group": "gpasswd -d dev containai",
    "context-garbled": "echo nonsense > $(grep -l containai-secure /home/dev/.docker/contexts/meta/*/meta.json)",
    "sysbox-program-deleted": "rm /usr/bin/sysbox-runc",
}


@pytest.fixture
def box(hosts) -> Box:
    made: Box = hosts.shared("health", state="converged")
    made.write("/opt/empty.json", "{}\n")
    return made


def states(box: Box) -> tuple[set[str], set[str], dict[str, dict[str, str]]]:
    found = box.health()
    for finding in found.values():
        print(f"  {finding['status']:8} {finding['part']}: {finding['found']}  -> {finding['hint']}")
    by = {
        state: {part for part, finding in found.items() if finding["status"] == state and part != "Sysbox advisories"}
        for state in ("fail", "unknown", "warn")
    }
    return by["fail"], by["unknown"] | by["warn"], found


def hurt(box: Box, broken: Break) -> None:
    if broken.user == "dev":
        box.shell(broken.line).expect(0)
    else:
        box.sh(broken.line)
    box.sh(f"for i in $(seq 200); do if {broken.settled}; then exit 0; fi; sleep 0.05; done; exit 1")


def whole(box: Box) -> None:
    """The engine is where its namespace is, and what it runs has a network and a port."""
    pid = box.sh("systemctl show -p MainPID --value containai-docker")
    assert box.sh(f"stat -Lc %i /proc/{pid}/ns/net") == box.sh("stat -Lc %i /run/netns/containai"), (
        "dockerd lives in a namespace of the past"
    )
    box.docker("load -q -i /opt/images/user-image.tar").expect(0)
    box.docker("rm -fv served")
    box.docker("run -d --name served --runtime sysbox-runc -p 8097:80 cai-test-image:1 httpd -f -h /www").expect(0)
    answers = "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8097/', timeout=3)\""
    box.sh(f"for i in $(seq 40); do {answers} 2>/dev/null && exit 0; sleep 0.1; done; {answers}")
    gateway = box.sh("ip -4 route show default").split()[2]
    box.docker(f"exec served ping -c 1 -W 3 {gateway}").expect(0)
    box.docker("rm -fv served").expect(0)


def test_ansibles_check_mode_of_doctor_starts_nothing(box: Box) -> None:
    box.sh("systemctl stop containai-docker")
    folder = box.cai("path").out.strip()
    line = f"cd {folder} && ansible-playbook --check -i inventory/localhost.yml playbooks/doctor.yml"
    done = box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",)).expect(0, "changed=0")
    print(done.text)
    assert not box.ok("systemctl is-active containai-docker")
    box.sh("systemctl start containai-docker")


@pytest.mark.parametrize("name", cases("socket-removed"))
def test_doctor_names_exactly_the_broken_part_and_its_command_mends_it(box: Box, name):
    broken = BREAKS[name]
    hurt(box, broken)
    failing, unknown, found = states(box)
    assert failing == set(broken.fails)
    assert unknown <= set(broken.unknown)
    command = command_in(found[next(iter(broken.fails))]["hint"])
    print(f"typed: {command}")
    if command.startswith("sudoedit"):  # the editor's user takes the mess out
        command = f"SUDO_EDITOR='cp /opt/empty.json' {command} && cai setup"
    box.shell(command).expect(0)
    assert states(box)[:2] == (set(), set())
    whole(box)


@pytest.mark.parametrize(
    "name",
    [case for case in cases("runtime-removed") if case.id != "daemon-json-invalid"],
)
def test_setup_mends_it_and_the_next_one_changes_nothing(box: Box, name):
    hurt(box, BREAKS[name])
    done = box.setup()
    print("\n".join(line for line in done.out.splitlines() if line.startswith(("changed", "  "))))
    box.converged()
    whole(box)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFTS)
def test_setup_mends_drift(box: Box, name):
    box.sh(DRIFTS[name])
    plan = box.cai("setup", "--dry-run").expect(0)
    done = box.setup()
    print("\n".join(line for line in done.out.splitlines() if line.startswith(("changed", "  "))))
    if name != "rules-flushed":  # which only root can see
        assert "nothing to change" not in plan.text
    box.converged()
    whole(box)


@pytest.mark.slow
def test_an_invalid_daemon_json_is_refused_and_left(box: Box):
    hurt(box, BREAKS["daemon-json-invalid"])
    box.cai("setup").expect(3, FILE, "line 1")
    assert box.sh(f"cat {FILE}") == '{"debug": tru'
    box.write(FILE, "{}\n")
    box.setup()
    box.converged()
