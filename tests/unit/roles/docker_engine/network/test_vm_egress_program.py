"""The program that keeps a VM's containers in: which rules it loads, and what it sees changed. What the rules do is shown on a real host."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils.containai.egress import policy_of

from tests.unit.roles.conftest import Commands
from tests.unit.roles.docker_engine.network.programs import load

LIST = policy_of("list", [{"network": "10.1.0.0/16", "ports": ["443", "8000-8100"]}, {"network": "10.2.0.0/16"}], {})


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commands: Commands) -> ModuleType:
    """The program, with an nft that keeps its one table in a file."""
    module = load("vm-egress")
    (tmp_path / "resolv.conf").write_text("nameserver 192.168.5.3\nnameserver 127.0.0.53\nnameserver fd00::1\n")
    table = tmp_path / "table"
    commands.link("cat")
    commands.add("nft", f"[ $1 = list ] && {{ cat {table}; exit; }}; cat >{table}")
    for name, value in (
        ("RESOLV_CONF", (str(tmp_path / "resolv.conf"),)),
        ("LOADED", str(tmp_path / "loaded.json")),
        ("PATH", commands.path),
    ):
        monkeypatch.setattr(module, name, value)
    return module


def chain(program: ModuleType, name: str, mode: str) -> list[str]:
    text = program.ruleset({**LIST, **policy_of(mode, [], {}), "allow": LIST["allow"]})
    return str(text).split(f"chain {name} {{")[1].split("\n}")[0].strip().splitlines()


def test_every_packet_that_leaves_is_asked_about(program: ModuleType) -> None:
    for name in ("forward", "output"):
        for mode in ("open", "no-private", "list"):
            hook, *rules = chain(program, name, mode)
            assert hook.startswith(f"type filter hook {name} priority filter - 5;")
            assert rules[-1] == "jump egress"
            assert all(rule.endswith(" accept") for rule in rules[:-1])
    for mode in ("no-private", "list"):
        assert chain(program, "egress", mode)[-1].startswith("meta nfproto ipv6 ")


def test_what_is_allowed_comes_before_what_is_blocked(program: ModuleType) -> None:
    resolver, *rules = chain(program, "egress", "open")
    assert "192.168.5.3" in resolver
    assert rules == [
        "ip daddr 10.1.0.0/16 tcp dport { 443, 8000-8100 } accept",
        "ip daddr 10.2.0.0/16 accept",
        "ip daddr 169.254.169.254/32 reject with icmpx admin-prohibited",
    ]


def test_what_somebody_changed_is_seen(program: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(program.Failure, match="missing"):
        program.check(LIST)
    program.up(LIST)
    program.check(LIST)
    with pytest.raises(program.Failure, match="differ"):
        program.check(policy_of("open", [], {}))
    (tmp_path / "table").write_text("table inet containai_egress {\n}\n")
    with pytest.raises(program.Failure, match="differ"):
        program.check(LIST)
