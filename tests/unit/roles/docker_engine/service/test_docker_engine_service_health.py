"""What doctor says of the engine, its socket and its network."""

from __future__ import annotations

import grp
import os
import socket
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_engine_health as health

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.docker_engine.service.systemd import GOOD, UNIT, Service


def look(service: Service, **more: Any) -> Any:
    """Run docker_engine_info for the engine alone."""
    parameters = {key: value for key, value in service.parameters.items() if key not in ("runtimes", "timeout")}
    return run_module(
        load_module("docker_engine_info"), gather_subset=["engine"], report=True, **{**parameters, **more}
    )


def report(module: ModuleType, service: Service, **more: Any) -> dict[str, tuple[str, str]]:
    before = service.units
    answer = look(service, **more)
    assert not answer["changed"]
    assert service.units == before
    assert service.changes() == []
    for finding in answer["findings"]:
        assert finding["status"] in {"pass", "warn", "fail", "unknown"}
        assert finding["status"] == "pass" or "`" in finding["hint"]
    return {finding["part"]: (finding["status"], finding["found"]) for finding in answer["findings"]}


def test_the_health_report_of_a_good_engine(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o660)
    group = grp.getgrgid(Path(service.engine.path).stat().st_gid).gr_name
    found = report(module, service, group=group)
    assert found["engine"] == ("pass", f"Docker 28.5.2 answers on {service.engine.path}")
    assert found["socket"][0] == "pass"


def test_the_health_report_of_bad_ones(module: ModuleType, service: Service) -> None:
    Path(service.engine.path).chmod(0o600)
    assert report(module, service)["socket"][0] == "fail"
    service.set(UnitFileState="disabled")
    assert report(module, service)["engine"][0] == "warn"
    service.info = None
    assert report(module, service)["engine"] == (
        "fail",
        f"{UNIT} is active but does not answer on {service.engine.path}",
    )
    service.set(ActiveState="failed")
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is failed")
    service.write({})
    assert report(module, service)["engine"] == ("fail", f"{UNIT} is not set up")


@pytest.mark.parametrize("script", ["exit 1", 'echo "iptables rule missing: x"; exit 1', "echo oops >&2; exit 3"])
def test_the_health_report_of_a_broken_network(
    module: ModuleType, service: Service, commands: Commands, script: str
) -> None:
    program = str(commands.add("network", script))
    answer = look(service, check=[program, "check"])
    (network,) = [finding for finding in answer["findings"] if finding["part"] == "network"]
    assert network["status"] == "fail"
    assert network["found"]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What setup wrote, and the kernel's settings, in a folder."""
    (tmp_path / "egress.json").write_text('{"mode": "open", "allow": []}')
    (tmp_path / "network.json").write_text('{"engine": "127.0.0.1"}')
    (tmp_path / "conf/cai0").mkdir(parents=True)
    for name in ("ip_forward", "conf/cai0/forwarding", "conf/cai0/proxy_arp"):
        (tmp_path / name).write_text("1\n")
    for name, path in (("EGRESS", "egress.json"), ("NETWORK", "network.json"), ("SYSCTLS", "")):
        monkeypatch.setattr(health, name, str(tmp_path / path))
    return tmp_path


def test_the_rules_of_a_vm_are_looked_at_and_it_has_no_namespace(
    module: ModuleType, service: Service, commands: Commands, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    service.write({name: dict(GOOD) for name in (UNIT, "docker.service")})
    program = commands.add("vm-egress", f"[ ! -e {places}/broken ] || {{ echo rules are missing; exit 1; }}")

    def found() -> dict[str, tuple[str, str]]:
        answer = look(service, unit="docker.service", check=[str(program), "check"])
        return {finding["part"]: (finding["status"], finding["found"]) for finding in answer["findings"]}

    assert found()["egress"][0] == "pass"
    assert found().keys() <= {"socket", "engine", "egress"}
    (places / "broken").touch()
    assert found()["egress"] == ("fail", "rules are missing")


@pytest.mark.parametrize("name", ["ip_forward", "conf/cai0/forwarding", "conf/cai0/proxy_arp"])
def test_an_ordinary_user_sees_that_nothing_is_forwarded(places: Path, name: str) -> None:
    assert health.visible_problem() is None
    (places / name).write_text("0\n")
    assert health.visible_problem() == f"net.ipv4.{name.replace('/', '.')} is 0"


@pytest.mark.parametrize(("code", "status"), [(0, "pass"), (3, "pass"), (5, "pass"), (2, "warn"), (None, "fail")])
def test_a_name_is_asked_for_where_containers_ask(
    places: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, status: str
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(health, "DNS_PORT", server.getsockname()[1])
        monkeypatch.setattr(health, "NAME_SECONDS", 0.2 if code is None else 20)

        def serve() -> None:
            data, client = server.recvfrom(4096)
            if code is not None:
                server.sendto(data[:3] + bytes([0x80 | code]) + data[4:], client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = health.names_finding()
        thread.join()
    assert found["status"] == status
    assert status == "pass" or "`" in found["hint"]


def test_names_without_what_setup_wrote(places: Path) -> None:
    (places / "network.json").unlink()
    assert health.names_finding()["hint"] == "run `cai setup`"


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ('{"mode": "open", "allow": []}', "pass", "open: containers may connect everywhere but to the metadata address of clouds"),
        (
            '{"mode": "list", "allow": [{"network": "10.0.0.0/8", "protocol": "tcp", "ports": ["443"]}]}', "pass",
            "list: containers may connect nowhere, but to 10.0.0.0/8 (tcp, 443)",
        ),
        ('{"mode": "no-private", "allow": []}', "pass", "no-private: containers may connect everywhere but to private"),
        ("{", "fail", "cannot be read"),
        ("[]", "fail", "cannot be read"),
    ],
)  # fmt: skip
def test_the_report_says_where_containers_may_connect_to(places: Path, text: str, status: str, found: str) -> None:
    (places / "egress.json").write_text(text)
    (said,) = health.egress_findings()
    assert said["status"] == status
    assert found in said["found"]


def test_a_published_port_that_nobody_listens_to_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "tcp"
    table.write_text("header\n 0: 0100007F:1F90 00000000:0000 0A x\n 1: 0100007F:1F91 00000000:0000 01 x\nshort\n")
    monkeypatch.setattr(health, "TABLES", (str(table), str(tmp_path / "missing")))
    port = {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}
    others = [
        {"PrivatePort": 81, "Type": "tcp"},
        {**port, "PublicPort": 53, "Type": "udp"},
        {**port, "PublicPort": 9, "IP": "::"},
    ]
    assert health.ports_findings(service.engine.path) == []
    service.containers = [{"Id": "1", "Names": ["/web"], "Ports": [port, *others]}]
    (found,) = health.ports_findings(service.engine.path)
    assert (found["status"], found["found"]) == ("pass", "published and listened to: 8080")
    service.containers.append({"Id": "2", "Names": ["/lost"], "Ports": [{**port, "PublicPort": 8081}]})
    (found,) = health.ports_findings(service.engine.path)
    assert found["status"] == "fail"
    assert "port 8081 of the container lost" in found["found"]
    assert "`docker --context containai-secure restart lost`" in found["hint"]
