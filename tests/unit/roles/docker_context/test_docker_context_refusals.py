"""What is no docker context, or none of ours, is refused before docker runs; what docker says is checked."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, load_module, run_module
from tests.unit.roles.docker_context.contexts import NAME, STAND_IN, WANTED, meta_file, picture, stored, write_context


def test_dockers_own_names_are_refused(bare: ModuleType, home: Path) -> None:
    for name in ["default", "desktop-linux"]:
        answer = run_module(bare, **{**WANTED, "name": name})
        assert answer["failure"] == "precondition"
        assert name in answer["msg"]
        assert picture(home) == {}


HOSTILE = {
    "name": ["no good", "--help", "-x", "a\nb", "a/../../b", "a\x1b[2J", "\u202eb", "a\0b", "$(id)", "a" * 3 + "{{ 7*7 }}"],
    "endpoint": ["unix:///a,skip-tls-verify=true", "-x", "unix:///a b", "unix:///a\nb", 'unix:///"a"', "/run/x.sock", "unix:///\x1b[2J", "a\0b"],
    "description": ["\x1b]0;x\x07", "a\nb", "\u202eb", "a\0b"],
    "config_dir": ["relative", "-x", "/a\nb", "/a\0b"],
}  # fmt: skip


def test_what_docker_could_misread_is_refused_before_it_runs(home: Path, commands: Commands, bare: ModuleType) -> None:
    commands.add("docker", STAND_IN, python=True)
    for key, value in [(key, value) for key, values in HOSTILE.items() for value in values]:
        for which, how in ((bare, {}), (bare, {"check_mode": True}), (load_module("docker_context_info"), {})):
            answer = run_module(which, **{**WANTED, key: value}, **how)
            assert answer["failure"] == "precondition", (value, which, how)
            assert f"docker_context_{key}" in answer["msg"]
            assert answer["msg"].isascii()
            assert answer["msg"].isprintable()
    assert commands.of("docker") == []
    assert picture(home) == {}


def test_the_preflight_makes_no_context_and_tells_of_none(bare: ModuleType, home: Path) -> None:
    answer = run_module(load_module("docker_context_info"), **WANTED)
    assert not answer["changed"]
    assert answer["needed"]
    assert picture(home) == {}


def test_the_preflight_tells_whether_a_run_has_anything_to_do(module: ModuleType, home: Path, state: Path) -> None:
    assert run_module(module, **WANTED)["changed"]
    assert not run_module(load_module("docker_context_info"), **WANTED)["needed"]
    record = (state / "record.json").read_bytes()
    (state / "record.json").unlink()
    assert run_module(load_module("docker_context_info"), **WANTED)["needed"], "an uninstall would not know it"
    (state / "record.json").write_bytes(record)
    meta = meta_file(home, NAME)
    meta.write_text(meta.read_text().replace(WANTED["endpoint"], "tcp://192.0.2.1:2376"))
    assert run_module(load_module("docker_context_info"), **WANTED)["needed"]


def test_a_user_of_no_possible_name_is_none(bare: ModuleType) -> None:
    assert "There is no user" in run_module(bare, **WANTED, user="a\0b")["msg"]


def test_no_cli(bare: ModuleType, home: Path) -> None:
    assert run_module(bare, check_mode=True, **WANTED)["changed"]  # the plan takes none
    answer = run_module(bare, **WANTED)
    assert "no docker CLI" in answer["msg"]
    assert "`sudo apt-get install" in answer["hint"]


def test_the_program_set_aside_is_used(bare: ModuleType, home: Path, commands: Commands) -> None:
    commands.add("docker.containai", STAND_IN, python=True)
    assert run_module(bare, **WANTED)["changed"]
    assert stored(home)[0] == WANTED["endpoint"]


def test_a_cli_that_lies_is_found_out(bare: ModuleType, home: Path, commands: Commands) -> None:
    commands.add("docker", "exit 0")
    answer = run_module(bare, **WANTED)
    assert "although docker reported success" in answer["msg"]


def test_a_cli_that_fails_without_a_word(bare: ModuleType, home: Path, commands: Commands) -> None:
    commands.add("docker", "exit 7")
    assert "no reason given" in run_module(bare, **WANTED)["msg"]


@pytest.mark.parametrize("there", [False, True], ids=["create", "update"])
@pytest.mark.parametrize("place", ["os.makedirs(", "with open(meta", "    json.dump("])
def test_nothing_half_made_is_left_by_a_cli_that_fails(
    bare: ModuleType, home: Path, commands: Commands, place: str, there: bool
) -> None:
    """Docker 20.10 does not write in one step, and `docker context ls` fails at what it leaves."""
    write_context(home, "other", "unix:///other.sock")
    if there:
        write_context(home, NAME, "unix:///edited.sock")
    indent = " " * (len(place) - len(place.lstrip()))
    commands.add("docker", STAND_IN.replace(place, f"{indent}sys.exit('no space left')\n{place}"), python=True)
    commands.link("rm", "tar")
    assert "no space left" in run_module(bare, **WANTED)["msg"]
    damaged = place == "    json.dump("
    assert meta_file(home).parent.exists() == meta_file(home).exists() == (there and not damaged)
    assert meta_file(home, "other").exists()
    commands.add("docker", STAND_IN, python=True)
    assert run_module(bare, **WANTED)["changed"]
    assert stored(home)[0] == WANTED["endpoint"]


def test_settings_that_cannot_be_looked_at_are_said(bare: ModuleType, home: Path) -> None:
    (home / ".docker").write_text("a file where a folder belongs")
    answer = run_module(bare, **WANTED)
    assert ".docker" in answer["msg"]


def test_no_such_user(bare: ModuleType) -> None:
    answer = run_module(bare, user="nobody-of-this-name", **WANTED)
    assert answer["failure"] == "precondition"
    assert "nobody-of-this-name" in answer["msg"]
