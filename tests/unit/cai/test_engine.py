"""Where the engine is, and how docker is asked about it: no other engine can come in between."""

import grp
import hashlib
import json
import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from cai import engine
from cai.errors import CaiError, Exit


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home without an engine; a folder for sockets, whose paths are short."""
    for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME", "SUDO_USER", *engine._LEADING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(engine.sys, "platform", "linux")
    folder = tempfile.mkdtemp(prefix="cai-")
    monkeypatch.setattr(engine, "SOCKET", f"{folder}/engine.sock")
    yield SimpleNamespace(home=tmp_path, socket=Path(folder) / "engine.sock")
    shutil.rmtree(folder)


def context(home, endpoint, name="containai-secure"):
    folder = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": endpoint}}}))


def listener(path):
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    made.listen()
    return made


def test_without_anything_setup_is_explained(place):
    assert engine.find().state == "absent"
    with pytest.raises(CaiError, match="no secure engine") as caught:
        engine.usable()
    assert caught.value.code == Exit.PRECONDITION
    assert "`cai setup`" in caught.value.hint
    assert "Docker with Sysbox" in caught.value.hint


def test_a_socket_without_a_listener_is_an_engine_that_does_not_run(place):
    listener(place.socket).close()
    with pytest.raises(CaiError, match="does not run") as caught:
        engine.usable()
    assert "systemctl start containai-docker" in caught.value.hint


def test_a_context_whose_socket_is_gone_is_an_engine_that_does_not_run(place, monkeypatch):
    context(place.home, f"unix://{place.socket}.gone")
    monkeypatch.setattr(engine.sys, "platform", "darwin")
    with pytest.raises(CaiError, match="does not run") as caught:
        engine.usable()
    assert "limactl start containai-secure" in caught.value.hint


def test_the_context_leads_to_it(place):
    context(place.home, f"unix://{place.socket}")
    with listener(place.socket):
        found = engine.usable()
    assert (found.state, found.chosen) == ("runs", ("--context", "containai-secure"))


def test_without_a_context_its_socket_does(place):
    with listener(place.socket):
        assert engine.usable().chosen == ("--host", f"unix://{place.socket}")


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:2375", "", 7])
def test_a_context_that_leads_elsewhere_is_not_followed(place, endpoint):
    context(place.home, endpoint)
    with listener(place.socket):
        assert engine.usable().chosen == ("--host", f"unix://{place.socket}")


@pytest.mark.parametrize(
    ("platform", "text", "name"),
    [
        ("linux", "docker_context_name: mine\n", "mine"),
        ("linux", "# x\ndocker_context_name: 'mine'\n", "mine"),
        ("linux", "lima_vm_name: vm\n", "containai-secure"),
        ("darwin", "lima_vm_name: vm\n", "vm"),
        ("linux", "docker_context_name: --host=x\n", "containai-secure"),
        ("linux", "", "containai-secure"),
    ],
)
def test_the_settings_file_names_the_context(place, monkeypatch, platform, text, name):
    file = place.home / ".config/containai/config.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    monkeypatch.setattr(engine.sys, "platform", platform)
    assert engine.context_name() == name


@pytest.fixture
def forbidden(place, monkeypatch):
    """A socket that this login may not open, of a group."""
    place.socket.touch()
    monkeypatch.setattr(engine, "_state", lambda _: "forbidden")
    monkeypatch.setattr(engine, "program", lambda: "/usr/bin/docker")
    user = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(engine.pwd, "getpwuid", lambda _: SimpleNamespace(pw_name=user, pw_gid=1))
    monkeypatch.setattr(engine.os, "getgroups", lambda: [1])
    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")

    def members(*names):
        entry = SimpleNamespace(gr_name="containai", gr_gid=4711, gr_mem=list(names))
        monkeypatch.setattr(grp, "getgrgid", lambda _: entry)

    return SimpleNamespace(user=user, members=members)


def test_a_group_that_this_login_lacks_comes_by_sg(forbidden):
    forbidden.members(forbidden.user)
    found = engine.usable()
    assert found.group == "containai"
    words = ["run", "x", "sh", "-c", "echo 'a b' $HOME"]
    argv = engine.command(found, words)
    assert argv[:3] == ["sg", "containai", "-c"]
    import shlex

    assert shlex.split(argv[3])[-5:] == words


def test_who_is_in_no_group_is_told_how_to_join(forbidden):
    forbidden.members("somebody")
    with pytest.raises(CaiError, match="may not open") as caught:
        engine.usable()
    assert f"usermod -aG containai {forbidden.user}" in caught.value.hint


def test_nothing_leads_docker_to_another_engine(monkeypatch):
    for name in engine._LEADING:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("DOCKER_CONFIG", "/kept")
    given = engine.environment()
    assert not set(engine._LEADING) & set(given)
    assert given["DOCKER_CONFIG"] == "/kept"


def test_the_cli_that_docker_desktop_pushed_aside_is_used(monkeypatch):
    monkeypatch.setattr(engine.shutil, "which", {"docker.containai": "/usr/bin/docker.containai"}.get)
    assert engine.program() == "/usr/bin/docker.containai"
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    with pytest.raises(CaiError, match="no docker CLI"):
        engine.program()


DOCKER = """
[ "$3" = fail ] && exit 125
[ "$3" = signal ] && kill -TERM $$
for word; do printf '<%s>' "$word"; done
printf ' %s%s ' "$DOCKER_HOST" "$DOCKER_CONTEXT"
cat
"""


@pytest.fixture
def typed(sandbox, place):
    """Type cai in a home with an engine, and a docker that says what it got."""
    sandbox.program("docker", DOCKER)
    context(sandbox.home, f"unix://{place.socket}")
    with listener(place.socket):
        yield lambda *words: sandbox.cai(*words, DOCKER_HOST="tcp://x", DOCKER_CONTEXT="other")


ENGINE = "<--context><containai-secure>"


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (
            ["run", "--rm", "-it", "u", "a b", "--help", "*"],
            "<run><--runtime=sysbox-runc><--rm><-it><u><a b><--help><*>",
        ),
        (["run", "-h", "web", "u"], "<run><--runtime=sysbox-runc><-h><web><u>"),
        (["docker", "ps", "--json", ""], "<ps><--json><>"),
        (["docker", "container", "create", "u"], "<container><create><--runtime=sysbox-runc><u>"),
        (["docker"], ""),
    ],
)
def test_docker_gets_every_word_as_it_was_typed(typed, words, got):
    done = typed(*words)
    assert (done.stdout, done.stderr, done.returncode) == (f"{ENGINE}{got}  ", "", 0)


def test_dockers_end_is_cais_end(typed):
    assert typed("docker", "fail").returncode == 125
    assert typed("docker", "signal").returncode == -15


def test_a_refusal_names_the_plain_command_and_starts_nothing(typed):
    done = typed("run", "--privileged", "u", "--json")
    assert (done.stdout, done.returncode) == ("", 2)
    assert "`docker --context containai-secure run --privileged u --json`" in done.stderr


def test_help_is_cais_own_only_in_front(typed):
    assert "Usage: cai run" in typed("run", "--help").stdout
    assert typed("docker", "run", "--help").stdout.startswith(ENGINE)


def test_completion_of_docker_is_dockers(sandbox, place):
    sandbox.program(
        "docker",
        """[ "$*" = "--context containai-secure __complete run --rm ub" ] && printf 'ubuntu\\tan image\\nubuntu:24.04\\n:4\\n'""",
    )
    context(sandbox.home, f"unix://{place.socket}")
    with listener(place.socket):
        done = sandbox.cai(_CAI_COMPLETE="bash_complete", COMP_WORDS="cai run --rm ub", COMP_CWORD="3")
    assert [row.split(",")[1] for row in done.stdout.split()] == ["ubuntu", "ubuntu:24.04"]
