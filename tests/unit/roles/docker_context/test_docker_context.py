"""One docker context of a user: with a stand-in for the CLI and, where there is one, with the real CLI, which needs no daemon for it."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import SEARCH, Commands, load_module, run_module

NAME = "containai-secure"
WANTED = {"name": NAME, "endpoint": "unix:///var/run/docker-containai.sock", "description": "ContainAI secure engine"}
REAL = shutil.which("docker", path=SEARCH)

# Keeps contexts where the original does, and is as particular: create wants a new name, update and rm an old one, rm no active one.
STAND_IN = """
import hashlib, os, shutil
if os.environ.keys() & {"DOCKER_HOST", "DOCKER_CONTEXT"}:
    sys.exit("the environment says where to go")
home, (word, verb, *rest) = os.environ["DOCKER_CONFIG"], sys.argv[1:]
name = rest[-1] if verb == "rm" else rest[0]
folder = os.path.join(home, "contexts/meta", hashlib.sha256(name.encode()).hexdigest())
meta = os.path.join(folder, "meta.json")
if word != "context":
    sys.exit("unknown command")
if verb == "rm":
    if not os.path.exists(folder):
        sys.exit(f"context {name!r} does not exist")
    json.load(open(meta))["Endpoints"]["docker"]["Host"]  # Docker 20.10 reads it, even with --force
    shutil.rmtree(folder)
    sys.exit(0)
if (verb == "create") == os.path.exists(folder):
    sys.exit(f"context {name!r} exists already, or does not")
flags = dict(zip(rest[1::2], rest[2::2]))
os.makedirs(folder, exist_ok=True)
endpoint = {"Host": flags["--docker"].removeprefix("host="), "SkipTLSVerify": False}
with open(meta, "w") as handle:
    json.dump({"Name": name, "Metadata": {"Description": flags["--description"]}, "Endpoints": {"docker": endpoint}}, handle)
print(name)
"""


@pytest.fixture(params=["stand-in", "real"])
def module(
    request: pytest.FixtureRequest, commands: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    loaded = load_module("docker_context")
    if request.param == "real":
        if REAL is None:
            pytest.skip("there is no docker CLI on this machine")
        commands.link("docker")
    else:
        commands.add("docker", STAND_IN, python=True)
    commands.link("rm")
    monkeypatch.setattr(loaded, "PATH", commands.path)
    return loaded


@pytest.fixture
def bare(commands: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module where no docker CLI is."""
    loaded = load_module("docker_context")
    monkeypatch.setattr(loaded, "PATH", commands.path)
    return loaded


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def meta_file(home: Path, name: str = NAME) -> Path:
    return home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"


def stored(home: Path) -> tuple[str, str]:
    data = json.loads(meta_file(home).read_text())
    assert data["Name"] == NAME
    return data["Endpoints"]["docker"]["Host"], data["Metadata"].get("Description", "")


def picture(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def write_context(home: Path, name: str, endpoint: str) -> None:
    path = meta_file(home, name)
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": endpoint, "SkipTLSVerify": False}}})
    )


def activate(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name, "auths": {}}))


def test_it_is_created(module: ModuleType, home: Path) -> None:
    answer = run_module(module, **WANTED)
    assert answer["changed"]
    assert answer.actions == [("create", f"docker context {NAME}")]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_a_second_time_changes_nothing(module: ModuleType, home: Path, commands: Commands) -> None:
    run_module(module, **WANTED)
    before, calls = picture(home), len(commands.calls)
    answer = run_module(module, **WANTED)
    assert not answer["changed"]
    assert answer["actions"] == answer["diff"] == []
    assert picture(home) == before
    assert len(commands.calls) == calls


def test_a_drifted_one_is_corrected(module: ModuleType, home: Path) -> None:
    run_module(module, **{**WANTED, "endpoint": "unix:///var/run/docker.sock", "description": "edited"})
    answer = run_module(module, **WANTED)
    assert answer.actions == [("change", f"docker context {NAME}")]
    assert "endpoint: unix:///var/run/docker.sock" in answer["diff"][0]["before"]
    assert f"endpoint: {WANTED['endpoint']}" in answer["diff"][0]["after"]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_only_the_description_drifted(module: ModuleType, home: Path) -> None:
    run_module(module, **{**WANTED, "description": ""})
    assert run_module(module, **WANTED)["changed"]
    assert stored(home)[1] == WANTED["description"]


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", "nonsense", '{"Name": "x"}', '{"Endpoints": {}}', '{"Endpoints": {"docker": null}}'],
)
def test_a_damaged_one_is_made_anew(module: ModuleType, home: Path, damage: str) -> None:
    run_module(module, **WANTED)
    meta_file(home).write_text(damage)
    answer = run_module(module, **WANTED)
    assert answer["changed"]
    assert stored(home) == (WANTED["endpoint"], WANTED["description"])


def test_a_damaged_one_is_taken_away(module: ModuleType, home: Path) -> None:
    run_module(module, **WANTED)
    meta_file(home).write_text("nonsense")
    assert run_module(module, name=NAME, state="absent")["changed"]
    assert not meta_file(home).parent.exists()


def test_check_mode_says_it_and_does_nothing(module: ModuleType, home: Path, commands: Commands) -> None:
    answer = run_module(module, check_mode=True, **WANTED)
    assert answer["changed"]
    assert answer["diff"][0]["before"] == ""
    assert picture(home) == {}
    assert list(home.iterdir()) == []
    assert commands.calls == []


def test_absent_takes_it_away(module: ModuleType, home: Path) -> None:
    write_context(home, "mine", "tcp://192.0.2.1:2376")
    others = picture(home)
    run_module(module, **WANTED)
    assert run_module(module, check_mode=True, name=NAME, state="absent")["changed"]
    answer = run_module(module, name=NAME, state="absent")
    assert answer.actions == [("remove", f"docker context {NAME}")]
    assert {path: data for path, data in picture(home).items() if "contexts" in path} == others
    assert not run_module(module, name=NAME, state="absent")["changed"]


def test_absent_leaves_no_folder_that_was_not_there(module: ModuleType, home: Path) -> None:
    run_module(module, **WANTED)
    run_module(module, name=NAME, state="absent")
    assert list(home.iterdir()) == []


def test_no_other_context_and_no_setting_is_touched(module: ModuleType, home: Path) -> None:
    for name, endpoint in (("desktop-linux", "unix:///x/docker.sock"), ("mine", "ssh://user@192.0.2.1")):
        write_context(home, name, endpoint)
    activate(home, "desktop-linux")
    before = picture(home)
    for step in (WANTED, {**WANTED, "description": "new"}):
        run_module(module, **step)
        after = picture(home)
        after.pop(str(meta_file(home).relative_to(home)))
        assert after == before


def test_the_environment_does_not_say_where_to_go(
    module: ModuleType, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:1")
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    run_module(module, **WANTED)
    assert stored(home)[0] == WANTED["endpoint"]
    assert not (tmp_path / "elsewhere").exists()


def test_another_folder_of_settings(module: ModuleType, home: Path, tmp_path: Path) -> None:
    run_module(module, config_dir=str(tmp_path / "set" / "docker"), **WANTED)
    assert picture(home) == {}
    assert list((tmp_path / "set" / "docker" / "contexts" / "meta").iterdir())


@pytest.mark.parametrize("state", ["absent", "damaged"])
@pytest.mark.parametrize("how", [{}, {"check_mode": True}, {"preflight": True}], ids=str)
def test_the_active_one_is_not_removed(module: ModuleType, home: Path, state: str, how: dict[str, bool]) -> None:
    run_module(module, **WANTED)
    activate(home, NAME)
    if state == "damaged":
        meta_file(home).write_text("{")
    before = picture(home)
    answer = run_module(module, **({"name": NAME, "state": "absent"} if state == "absent" else WANTED), **how)
    assert answer["failure"] == "precondition"
    assert "`docker context use default`" in answer["hint"]
    assert picture(home) == before


def test_the_active_one_is_corrected(module: ModuleType, home: Path) -> None:
    run_module(module, **{**WANTED, "description": "edited"})
    activate(home, NAME)
    assert run_module(module, **WANTED)["changed"]
    assert json.loads((home / ".docker" / "config.json").read_text())["currentContext"] == NAME


@pytest.mark.parametrize("name", ["default", "desktop-linux"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_dockers_own_names_are_refused(module: ModuleType, home: Path, name: str, state: str) -> None:
    answer = run_module(module, **{**WANTED, "name": name, "state": state})
    assert answer["failure"] == "precondition"
    assert name in answer["msg"]
    assert picture(home) == {}


HOSTILE = {
    "name": ["no good", "--help", "-x", "a\nb", "a/../../b", "a\x1b[2J", "\u202eb", "a\0b", "$(id)", "a" * 3 + "{{ 7*7 }}"],
    "endpoint": ["unix:///a,skip-tls-verify=true", "-x", "unix:///a b", "unix:///a\nb", 'unix:///"a"', "/run/x.sock", "unix:///\x1b[2J", "a\0b"],
    "description": ["\x1b]0;x\x07", "a\nb", "\u202eb", "a\0b"],
    "config_dir": ["relative", "-x", "/a\nb", "/a\0b"],
}  # fmt: skip


@pytest.mark.parametrize("how", [{}, {"check_mode": True}, {"preflight": True}], ids=str)
@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in HOSTILE.items() for value in values])
def test_what_docker_could_misread_is_refused_before_it_runs(
    home: Path, commands: Commands, bare: ModuleType, key: str, value: str, how: dict[str, bool]
) -> None:
    commands.add("docker", STAND_IN, python=True)
    answer = run_module(bare, **{**WANTED, key: value}, **how)
    assert answer["failure"] == "precondition"
    assert f"docker_context_{key}" in answer["msg"]
    assert answer["msg"].isascii()
    assert answer["msg"].isprintable()
    assert commands.of("docker") == []
    assert picture(home) == {}


def test_the_preflight_makes_no_context_and_tells_of_none(bare: ModuleType, home: Path) -> None:
    answer = run_module(bare, **WANTED, preflight=True)
    assert not answer["changed"]
    assert answer.actions == []
    assert picture(home) == {}


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


def test_settings_that_cannot_be_looked_at_are_said(bare: ModuleType, home: Path) -> None:
    (home / ".docker").write_text("a file where a folder belongs")
    answer = run_module(bare, **WANTED)
    assert ".docker" in answer["msg"]


def test_no_such_user(bare: ModuleType) -> None:
    answer = run_module(bare, user="nobody-of-this-name", **WANTED)
    assert answer["failure"] == "precondition"
    assert "nobody-of-this-name" in answer["msg"]


def test_it_is_the_users_own(needs_root: None, home: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under sudo, everything below the user's folder belongs to the user."""
    everybodys = shutil.which("python3", path="/usr/bin")  # the one that runs the tests may be in a folder of root's
    if everybodys is None:
        pytest.skip("there is no /usr/bin/python3")
    sockets.chmod(0o755)
    commands, module = Commands(sockets / "bin"), load_module("docker_context")
    commands.add("docker", STAND_IN, python=everybodys)
    commands.log.touch()
    commands.log.chmod(0o666)
    monkeypatch.setattr(module, "PATH", commands.path)
    own, nobody = sockets / "own", pwd.getpwnam("nobody")
    own.mkdir()
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    answer = run_module(module, user="nobody", config_dir=str(own / ".docker"), **WANTED)
    assert answer["changed"]
    assert {path.stat().st_uid for path in own.rglob("*")} == {nobody.pw_uid}
    assert picture(home) == {}
