"""A failure is told with what others did meanwhile; running containers of the engine, and a slow engine, are not ended unasked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.box import Box, quoted

# A server of packages that restarts the other engine before it says that it has none.
SERVER = """
import http.server, subprocess
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        subprocess.run(["systemctl", "restart", "docker"])
        self.send_error(404)
http.server.HTTPServer(("127.0.0.1", 8199), Handler).serve_forever()
"""
DOCKERD = "systemctl show -p MainPID --value containai-docker"


@pytest.fixture
def box(hosts) -> Box:
    return hosts.shared("lives", dress="linux", state="converged")


@pytest.fixture
def agent(box: Box) -> Iterator[str]:
    """A running container of ours."""
    box.start_sysbox_container("agent")
    yield "agent"
    box.docker("rm -f agent").expect(0)


def test_the_first_failure_is_told_first_and_the_comparison_below_it(box: Box) -> None:
    """The download fails; and meanwhile somebody has restarted the other engine, as a run could have done by mistake."""
    box.sh("systemctl start docker")  # of the packages that setup brought
    box.write("/opt/server.py", SERVER)
    box.sh("systemd-run --quiet --unit=server python3 /opt/server.py")
    box.sh("for i in $(seq 100); do ss -Hltn sport = 8199 | grep -q . && exit 0; sleep 0.1; done; exit 1")
    source = quoted(
        sysbox_version="0.9.9", sysbox_sha256={"amd64": "a" * 64}, sysbox_deb="http://127.0.0.1:8199/sysbox.deb"
    )
    done = box.cai("setup", "--json", *source)
    box.sh("systemctl stop server docker.socket docker")
    assert done.code == 1, done.text
    first, *later = done.document["errors"]
    assert "404" in first["message"], first
    assert ["docker.service" in str(error["details"]) for error in later] == [True], later
    assert all(error["step"] and error["kind"] for error in (first, *later))


def test_a_setting_that_needs_a_restart_stops_at_running_containers(box: Box, agent: str) -> None:
    change = ("-e", 'docker_engine_dns=["192.0.2.53"]')
    for options in (("--dry-run",), ()):
        box.cai("setup", *options, *change).expect(3, agent, "docker_engine_restart_containers=true")
    assert box.docker(f"ps -q --filter name={agent}").out.strip()


def test_an_engine_that_is_slow_is_neither_restarted_nor_stopped(box: Box, agent: str) -> None:
    pid = box.sh(DOCKERD)
    box.sh(f"kill -STOP {pid}")
    try:
        with ThreadPoolExecutor() as pool:  # each waits for most of its time
            health = pool.submit(box.health)
            box.cai("setup").expect(1, "does not answer within")
            assert health.result()["engine"]["status"] == "unknown"
        box.cai("uninstall", "--yes").expect(1, "does not answer within")
    finally:
        box.sh(f"kill -CONT {pid}")
    assert box.sh(DOCKERD) == pid
    assert box.docker(f"ps -q --filter name={agent}").out.strip(), "a container ended"
