"""Where containers may connect to, in each mode of docker_engine_egress: tried against a machine beyond the uplink that has a public, a private and the metadata address."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.hosts import host
from tests.system.box import IMAGE, Box, quoted

PUBLIC, PRIVATE, METADATA = "198.51.100.2", "10.99.0.2", "169.254.169.254"
# A unit, since it has to be there after a reboot as well.
FAR = f"""[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip netns add far && ip link add far0 type veth peer name far1 netns far'
ExecStart=/bin/sh -c 'ip address add 198.51.100.1/24 dev far0 && ip link set far0 up && ip -n far link set far1 up && ip -n far link set lo up'
ExecStart=/bin/sh -c 'for a in {PUBLIC}/24 {PRIVATE}/32 {METADATA}/32; do ip -n far address add $a dev far1; done'
ExecStart=/bin/sh -c 'for a in {PRIVATE} {METADATA}; do ip route add $a via {PUBLIC}; done'
[Install]
WantedBy=multi-user.target
"""
WEB = """[Unit]
After=far.service
[Service]
ExecStart=/bin/sh -c 'for port in 80 8080; do ip netns exec far python3 -m http.server $port -d /opt/far & done; wait'
[Install]
WantedBy=multi-user.target
"""
OURS = "docker --context containai-secure"
PAGE = "timeout 5 python3 -c \"import urllib.request as r; print(r.urlopen('http://{}:{}/').read())\""


@pytest.fixture(scope="module")
def box(hosts):
    return beside_far(hosts("egress", dress="linux", state="converged"))


def beside_far(made: Box) -> Box:
    made.write("/opt/far/index.html", "far away\n")
    made.write("/etc/systemd/system/far.service", FAR)
    made.write("/etc/systemd/system/far-web.service", WEB)
    made.sh("systemctl daemon-reload && systemctl enable --now far.service far-web.service 2>/dev/null")
    wait_for_far(made)
    return made


def wait_for_far(box: Box) -> None:
    for address in (PUBLIC, PRIVATE, METADATA):
        for port in (80, 8080):
            box.sh(f"for i in $(seq 60); do {PAGE.format(address, port)} && exit 0; sleep 0.2; done; exit 1")


def choose(box: Box, mode: str, *allow: dict[str, Any]) -> None:
    box.setup(*quoted(docker_engine_egress=mode, docker_engine_egress_allow=[*allow]))


def reached(box: Box, network: str = "bridge", docker: str = OURS) -> set[tuple[str, int]]:
    """What a container reaches. It tries all at once: each that is blocked takes three seconds."""
    ways = [(address, port) for address in (PUBLIC, PRIVATE, METADATA) for port in (80, 8080)]
    tries = [f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {a} {p} | sed 's/^/{a} {p} /' &" for a, p in ways]
    done = box.shell(f'{docker} run --rm --network {network} {IMAGE} sh -c "{" ".join(tries)} wait; echo tried"')
    assert "tried" in done.out, done.text
    found = (re.fullmatch(r"(\S+) (\d+) far away", line.strip()) for line in done.out.splitlines())
    return {(match[1], int(match[2])) for match in found if match}


def free(box: Box) -> None:
    """The machine itself reaches all of it, whatever the mode."""
    for address in (PUBLIC, PRIVATE, METADATA):
        assert "far away" in box.sh(PAGE.format(address, 80))


def both(*addresses: str) -> set[tuple[str, int]]:
    return {(address, port) for address in addresses for port in (80, 8080)}


def test_open_blocks_the_metadata_address_alone(hosts) -> None:
    """As a setup without a word about it leaves the engine."""
    box = beside_far(hosts("egress-open", dress="linux", state="converged"))
    for network in ("bridge", "host"):
        assert reached(box, network) == both(PUBLIC, PRIVATE)
    free(box)
    hosts.drop(box.name)


@pytest.mark.slow
def test_open_leaves_the_metadata_address_where_it_is_allowed(box: Box) -> None:
    choose(box, "open", {"network": f"{METADATA}/32", "ports": ["80"]})
    assert reached(box) == both(PUBLIC, PRIVATE) | {(METADATA, 80)}


@pytest.mark.slow
def test_no_private_leaves_public_addresses_and_names(box: Box) -> None:
    choose(box, "no-private")
    for network in ("bridge", "host"):
        assert reached(box, network) == both(PUBLIC)
    free(box)
    # The machine itself, by its public-looking address too.
    box.sh("ufw allow 8125/tcp >/dev/null")
    box.sh("systemd-run --quiet --unit=own-web --collect python3 -m http.server 8125 -d /opt/far")
    box.sh(f"for i in $(seq 60); do {PAGE.format('198.51.100.1', 8125)} && exit 0; sleep 0.2; done; exit 1")
    fetch = "sh -c 'printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | nc -w 3 198.51.100.1 8125'"
    assert "far away" not in box.docker(f"run --rm {IMAGE} {fetch}").text
    choose(box, "open")
    assert "far away" in box.docker(f"run --rm {IMAGE} {fetch}").text
    box.sh("systemctl stop own-web")
    choose(box, "no-private", {"network": "10.99.0.0/24"})
    assert reached(box) == both(PUBLIC, PRIVATE)
    name = box.sh("apt-get indextargets --format '$(SITE)' | head -n 1 | sed 's#.*://##; s#[:/].*##'")
    address = box.sh(f"getent ahostsv4 {name}").split()[0]
    assert address in box.docker(f"run --rm {IMAGE} nslookup {name}").text


def test_a_list_outlives_restarts_and_new_containers_and_doctor_tells_it(box: Box) -> None:
    listed = {"network": "10.99.0.0/24", "ports": ["8000-8100"], "protocol": "tcp"}
    choose(box, "list", listed)
    assert reached(box) == {(PRIVATE, 8080)}
    free(box)
    box.sh("systemctl restart containai-docker")
    box.docker("network create listed").expect(0)
    assert reached(box, "listed") == {(PRIVATE, 8080)}
    box.docker("network rm listed").expect(0)
    host.reboot(box.name)
    box.sh("for i in $(seq 100); do systemctl is-active -q containai-docker && exit 0; sleep 0.2; done; exit 1")
    wait_for_far(box)
    assert reached(box) == {(PRIVATE, 8080)}
    finding = box.health()["egress"]
    assert finding["status"] == "pass"
    assert finding["found"].startswith("list: ")
    assert "10.99.0.0/24" in finding["found"]
    # A rule that somebody takes out is named, and put back.
    box.sh("iptables -D CONTAINAI-EGRESS 1")
    assert "firewall rule" in box.sh("/usr/local/libexec/containai/network check", check=False)
    box.sh("/usr/local/libexec/containai/network up")
    assert reached(box) == {(PRIVATE, 8080)}


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        ([{"network": "registry.corp.test"}], "the addresses behind a name change"),
        pytest.param([{"network": "10.1.0.5/16"}], "write `10.1.0.0/16`", marks=pytest.mark.slow),
        pytest.param([{"network": "10.1.0.0/16", "ports": ["70000"]}], "1 to 65535", marks=pytest.mark.slow),
    ],
)
def test_a_list_with_a_typo_changes_nothing(box: Box, allow: list[dict[str, Any]], words: str) -> None:
    before = box.sh("iptables -S; cat /usr/local/libexec/containai/egress.json")
    box.cai("setup", *quoted(docker_engine_egress="list", docker_engine_egress_allow=allow)).expect(3, words)
    assert box.sh("iptables -S; cat /usr/local/libexec/containai/egress.json") == before


# The play of playbooks/macos.yml for the engine in the VM, without Sysbox, on a host that stands for the VM.
PLAY = """- name: Engine in the VM
  hosts: localhost
  gather_facts: false
  become: true
  vars: {__docker_engine_platform: linux, __docker_engine_dedicated: false, docker_engine_source: distro}
  tasks:
    - {ansible.builtin.import_role: {name: docker_engine, tasks_from: preflight}}
    - {ansible.builtin.import_role: {name: docker_engine, tasks_from: install}}
    - {ansible.builtin.import_role: {name: docker_engine, tasks_from: configure}}
    - {ansible.builtin.import_role: {name: docker_engine, tasks_from: start}}
"""


def engine_of_a_vm(box: Box, expected: str, **chosen: Any) -> None:
    if not box.ok("test -d /opt/cai"):
        box.sh(f"cp -r {box.cai('path').expect(0).out.strip()} /opt/cai")
        box.write("/opt/cai/playbooks/vm-engine.yml", PLAY)
    line = f"cd /opt/cai && ansible-playbook -i inventory/localhost.yml playbooks/vm-engine.yml -e {shlex.quote(json.dumps(chosen))}"
    done = box.user("bash", "-c", line, options=("--setenv=LANG=C.UTF-8",)).expect(0, "failed=0")
    assert expected in done.text, done.text


@pytest.mark.slow  # `make test-vm` shows it in a VM, and CI runs that where these rules differ
def test_the_engine_of_a_vm_keeps_its_containers_in(hosts) -> None:
    """By the VM's own rules: in the VM, Docker's service is the engine, and there is no network namespace."""
    box = beside_far(hosts("egress-vm", dress="linux", setup="other-docker"))
    box.sh("usermod -aG docker dev && docker load -q -i /opt/images/user-image.tar")
    started = box.sh("systemctl show -P MainPID docker")

    def ways(network: str) -> set[tuple[str, int]]:
        return reached(box, network, "docker")

    engine_of_a_vm(box, "changed=2")
    for network in ("bridge", "host"):
        assert ways(network) == both(PUBLIC, PRIVATE)
    engine_of_a_vm(box, "changed=0")
    engine_of_a_vm(box, "changed=2", docker_engine_egress="no-private")
    box.shell("docker network create own").expect(0)
    for network in ("bridge", "own", "host"):
        assert ways(network) == both(PUBLIC)
    # Containers reach each other, published ports and resolvers answer, and who is logged in is free.
    box.shell(
        f"docker run -d --name served --network own -p 8126:80 {IMAGE} sh -c 'while true; do echo here | nc -l -p 80; done'"
    ).expect(0)
    assert "here" in box.shell(f"docker run --rm --network own {IMAGE} sh -c 'nc -w 3 served 80 </dev/null'").text
    assert "here" in box.sh("timeout 5 bash -c 'cat < /dev/tcp/127.0.0.1/8126'")
    assert "far away" in box.sh(f"systemd-run --pipe --wait --quiet --slice user.slice {PAGE.format(PRIVATE, 80)}")
    listed = [{"network": "10.99.0.0/24", "ports": ["8000-8100"]}]
    engine_of_a_vm(box, "changed=2", docker_engine_egress="list", docker_engine_egress_allow=listed)
    assert box.sh("systemctl show -P MainPID docker") == started, "the engine was not restarted"
    box.sh("systemctl restart docker")
    assert ways("bridge") == ways("host") == {(PRIVATE, 8080)}
    # A rule that somebody takes out is seen and put back.
    box.sh("nft flush chain inet containai_egress egress")
    assert "differ" in box.sh("/usr/local/libexec/containai/vm-egress check", check=False)
    engine_of_a_vm(box, "changed=1", docker_engine_egress="list", docker_engine_egress_allow=listed)
    assert ways("bridge") == {(PRIVATE, 8080)}  # the boot is in the story of the VM
