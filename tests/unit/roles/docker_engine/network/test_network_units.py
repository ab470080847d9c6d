"""What the units must say, because no other test would notice its absence on a machine without that neighbour."""

from __future__ import annotations

from tests.unit.roles.conftest import ROLES

TEMPLATES = ROLES / "docker_engine" / "templates"


def lines(unit: str) -> list[str]:
    return (TEMPLATES / f"{unit}.j2").read_text().splitlines()


def test_dockerd_is_cut_off_from_the_system_bus() -> None:
    """With firewalld on that bus, dockerd has it write rules into the machine's namespace."""
    assert "Environment=DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/docker-containai/no-system-bus" in lines(
        "containai-docker.service"
    )


def test_dockerd_is_told_right_before_each_start() -> None:
    """Its cgroup, by which it is known, and its flags, which daemon.json may have by now, are new at each start."""
    unit = lines("containai-docker.service")
    assert "ExecStartPre=/usr/local/libexec/containai/network dockerd" in unit
    assert "EnvironmentFile=-/run/containai-dockerd.env" in unit
    assert unit[unit.index("ExecReload=/bin/kill -s HUP $MAINPID") - 1].endswith(" $CONTAINAI_DNS")


def test_the_firewalls_come_first() -> None:
    (after,) = (line for line in lines("containai-network.service") if line.startswith("After="))
    assert {"firewalld.service", "ufw.service", "nftables.service", "netfilter-persistent.service"} <= set(
        after[6:].split()
    )
