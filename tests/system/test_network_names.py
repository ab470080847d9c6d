"""On a native Ubuntu: what the machine resolves, dockerd and every container resolve; and dockerd alone reaches the machine's localhost."""

from __future__ import annotations

import pytest

from tests.system import resolvers
from tests.system.box import IMAGE, SOCKET, Box

ENGINE = f"docker -H unix://{SOCKET}"
# Who may ask: a container of the default bridge, of a network of the user's own, of the engine's own network.
NETWORKS = ("bridge", "own", "host")


@pytest.fixture(scope="module")
def box(hosts):
    made: Box = hosts("names", dress="linux", state="converged")
    assert "nameserver 127.0.0.53" in made.sh("cat /etc/resolv.conf")
    resolvers.install(made)
    made.sh("DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-buildx >/dev/null")
    made.docker("network create own").expect(0)
    made.sh("ip route replace unreachable 192.0.2.0/24")  # what corp.test resolves to: an answer at once
    return made


def resolves(box: Box, name: str, network: str) -> str:
    done = box.docker(f"run --rm --network {network} {IMAGE} nslookup {name}")
    return done.text


def asked_by_dockerd(box: Box, name: str) -> str:
    """What dockerd says of a registry of that name: a refusal that names its address, or that there is no such name."""
    return box.docker(f"pull {name}/nothing/here:1").text


def archive(box: Box) -> str:
    """A name that the host resolves: its package archive's."""
    return box.sh("apt-get indextargets --format '$(SITE)' | head -n 1 | sed 's#.*://##; s#[:/].*##'")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_container_resolves_through_the_stub(box: Box, network: str) -> None:
    name = archive(box)
    address = box.sh(f"getent ahostsv4 {name}").split()[0]
    assert address in resolves(box, name, network)


def test_dockerd_and_a_build_resolve_through_the_stub(box: Box) -> None:
    name = archive(box)
    said = asked_by_dockerd(box, name)
    assert "failed to resolve reference" in said
    assert "unexpected status" in said
    box.write("/opt/build/Dockerfile", f"FROM {IMAGE}\nRUN nslookup {name}\n")
    for buildkit in (0, 1):
        box.sh(f"DOCKER_BUILDKIT={buildkit} {ENGINE} build --no-cache /opt/build")


RESOLVERS = {
    "unbound": ("127.0.0.1", "192.0.2.39", "nameserver 127.0.0.1\nsearch corp.test\n"),
    "on another loopback address": ("127.0.0.9", "192.0.2.9", "nameserver 127.0.0.9\nsearch corp.test\n"),
    "behind one that is dead": ("127.0.0.9", "192.0.2.19", "nameserver 127.0.0.7\nnameserver 127.0.0.9\nsearch corp.test\n"),
    "on an address of the loopback device": ("10.255.255.254", "192.0.2.29", "nameserver 10.255.255.254\nsearch corp.test\n"),
    "of IPv6 only": ("fd00:77::53", "192.0.2.6", "nameserver fd00:77::53\nsearch corp.test\n"),
}  # fmt: skip


# The nightly run has the others as well.
USUAL = ("on an address of the loopback device", "of IPv6 only")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in USUAL else pytest.mark.slow) for kind in RESOLVERS]
)
def test_a_resolver_that_changes_while_the_engine_runs(box: Box, kind: str) -> None:
    listen, answer, text = RESOLVERS[kind]
    if not listen.startswith("127."):
        box.sh("sysctl -qw net.ipv6.conf.lo.disable_ipv6=0")
        box.sh(f"ip address replace {listen}/{128 if ':' in listen else 32} dev lo")
    program = "unbound" if kind == "unbound" else "dnsmasq"
    with resolvers.server(box, listen, answer, program), resolvers.resolv_conf(box, text):
        # Go's resolver looks at the file every five seconds.
        box.sh(
            f"for i in $(seq 40); do {ENGINE} pull host.corp.test/x:1 2>&1 | grep -qF {answer} && exit 0; sleep 0.5; done; exit 1"
        )
        for network in NETWORKS:
            assert answer in resolves(box, "host.corp.test", network)
        assert answer in box.docker(f"run --rm {IMAGE} nslookup -type=a host.corp.test").text
    box.sh(
        f"for i in $(seq 40); do {ENGINE} pull {archive(box)}/x/x:1 2>&1 | grep -q 'unexpected status' && exit 0; sleep 0.5; done; exit 1"
    )


def test_a_push_to_a_registry_of_the_engines_own_on_localhost(box: Box) -> None:
    box.docker(f"run -d --name registry -p 5000:80 {IMAGE} httpd -f -p 80").expect(0)
    box.docker(f"tag {IMAGE} localhost:5000/x:1").expect(0)
    said = box.docker("push localhost:5000/x:1").text
    box.docker("rm -f registry").expect(0)
    assert "404 Not Found" in said  # of the httpd, which is no registry


def answers(box: Box, network: str, ways: list[tuple[str, int]]) -> str:
    """What a container gets from there. It asks all at once: each that is silent takes three seconds."""
    tries = "".join(f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {host} {port} & " for host, port in ways)
    return box.docker(f'run --rm --network {network} {IMAGE} sh -c "{tries} wait; echo tried"').text


def test_a_service_on_the_machines_localhost_is_there_for_dockerd_and_for_no_container(box: Box) -> None:
    box.write("/opt/www/index.html", "secret of the machine\n")
    box.sh(
        "systemd-run --quiet --unit=local-service --collect python3 -m http.server 8123 --bind 127.0.0.1 -d /opt/www"
    )
    box.sh(
        "for i in $(seq 50); do python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8123/')\" && exit 0; sleep 0.1; done; exit 1"
    )
    for _ in range(2):
        assert "127.0.0.1:8123" not in box.docker("pull localhost:8123/x:1").text  # nobody was refused
        assert "TLS handshake" in box.docker("pull localhost:8123/x:1").text
        box.sh("systemctl restart containai-docker")  # its cgroup is another one then
    ways = [
        ("127.0.0.1", 8123),
        ("127.213.77.1", 213),
        ("10.213.77.2", 8123),
        ("10.213.77.2", 213),
        ("10.213.77.1", 8123),
    ]
    for network in NETWORKS:
        said = answers(box, network, ways)
        assert "tried" in said
        assert "secret" not in said, network
    # The same command does reach what is there: the look above is not blind.
    box.docker(f"run -d --name seen --network host {IMAGE} httpd -f -p 8124 -h /www").expect(0)
    assert "served from a container" in answers(box, "host", [*ways, ("127.0.0.1", 8124)])
    box.docker("rm -f seen").expect(0)
    box.sh("systemctl stop local-service")


def test_a_restart_of_the_machine_keeps_all_that(box: Box) -> None:
    from tests.hosts import host

    host.reboot(box.name)
    box.sh("for i in $(seq 100); do systemctl is-active -q containai-docker && exit 0; sleep 0.2; done; exit 1")
    box.sh("ip route replace unreachable 192.0.2.0/24")
    assert "unexpected status" in asked_by_dockerd(box, archive(box))
    box.converged()
