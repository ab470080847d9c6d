"""Hostile values where they would end in a unit, in apt's sources, in a file's name or on root's command line: refused before anything changes."""

from __future__ import annotations

import ast
import os
import re
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils import containai_host
from ansible.module_utils import containai_settings as settings
from ansible.module_utils.containai import progress as progressing
from ansible.module_utils.containai import record, validation
from ansible.module_utils.containai.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.roles.conftest import ROLES, Commands, load_module, run_module

ROOT = "docker_engine"
CHECKED = yaml.safe_load((ROLES / ROOT / "vars/main.yml").read_text())["__docker_engine_settings"]
OPTIONS = yaml.safe_load((ROLES / ROOT / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
TEXTS = [
    "", " ", "/a b", "/a\nExecStartPre=/bin/touch /tmp/x", "/a\r", "/a\t", "/a\0", "/a%n", "/a$HOME", "/a${HOME}", '/a"', "/a'", "/a\\", "/a`id`",
    "/a$(id)", "/a;id", "/a|id", "/a&id", "/a>b", "/a\x1b[2J", "/a\u202eb", "/a\x85b", "/a\u2028b", "{{ 7*7 }}", "--help", "-H", "./relative", "~/x",
    "/a/../../etc", "..", "/a//b", "/a{{ 7*7 }}", "/a{% x %}", "/a#b", "/a*", "/a?", "/a[b]", "/a!b", "@/etc/passwd",
]  # fmt: skip
OTHER = [None, 1, 1.5, True, [], {}, ["/a"], {"a": "/b"}]


def test_every_variable_that_reaches_a_template_or_a_command_is_checked() -> None:
    used = set()
    for path in [
        *(ROLES / ROOT / "templates").iterdir(),
        ROLES / ROOT / "tasks/install.yml",
        ROLES / ROOT / "tasks/start.yml",
    ]:
        used |= set(
            re.findall(
                r"\bdocker_engine_([a-z_]+)\b(?!:)", re.sub(r"\{#.*?#\}|__docker_engine_\w+", "", path.read_text())
            )
        )
    harmless = {
        name
        for name in used
        if OPTIONS.get(f"docker_engine_{name}", {}).get("choices")
        or OPTIONS.get(f"docker_engine_{name}", {}).get("type") in ("bool", "int")
    }
    modules = {"packages", "service", "files", "info", "compare", "removal"}
    assert used - harmless - modules == {name for name in CHECKED if name in used}
    assert set(CHECKED) == set(settings.KINDS) | set(settings.SPECIAL)


def test_no_hostile_text_passes() -> None:
    for name in sorted(settings.KINDS):
        for value in [*TEXTS, *OTHER]:
            with pytest.raises(Failure) as refused:
                settings.check_all({name: value}, "docker_engine_")
            assert f"{'sysbox' if name == 'daemon_json' else 'docker_engine'}_{name} " in str(refused.value)
            assert str(refused.value).isascii()
            assert str(refused.value).isprintable()


def test_no_hostile_text_passes_as_an_address_or_a_proxy() -> None:
    for value in [text for text in TEXTS if text]:
        for hostile in ({"dns": [value]}, {"proxy": {value: "x"}}):
            with pytest.raises(Failure):
                settings.check_all(hostile, "docker_engine_")


def test_a_proxy_is_what_can_stand_between_quotes() -> None:
    for value in ['a"b', "a\\", "a\nB=c", "$(id)", "`id`", "${x}", "a\0", "é", "\x1b[2J", None, 3128, ["x"]]:
        with pytest.raises(Failure):
            settings.check_all({"proxy": {"HTTPS_PROXY": value}}, "docker_engine_")


def test_a_proxy_setting_sets_proxies_only() -> None:
    for name in ["LD_PRELOAD", "PATH", "DOCKER_HOST", "HTTPS_PROXY=x\nLD_PRELOAD", "", "proxy"]:
        with pytest.raises(Failure):
            settings.check_all({"proxy": {name: "x"}}, "docker_engine_")


def test_sensible_values_pass() -> None:
    settings.check_all(
        {
            "socket": "/var/run/docker-containai.sock", "data_root": "/mnt/données-2/docker_1.x", "daemon_json": "/etc/containai/daemon.json",
            "group": "containai", "dns": ["1.1.1.1", "fd00::1"], "apt_url": "https://user@mirror.example:8443/linux/{distribution}?a=b",
            "apt_key_url": "file:///srv/gpg", "apt_key_fingerprint": "9DC8 58229FC7DD38854AE2D88D81803C0EBFCD88",
            "proxy": {"HTTPS_PROXY": "http://me:p%40ss@proxy:3128", "no_proxy": "localhost, 127.0.0.1,*.corp"},
        }, "docker_engine_",
    )  # fmt: skip


@given(st.text() | st.from_regex(validation.TEXT["path"][0]) | st.text("/a.%$ \n\"'\\;-").map("/".__add__))
def test_a_path_that_passes_is_one_word_in_a_unit_and_in_a_shell(text: str) -> None:
    try:
        validation.check("x", text, "path")
    except Failure:
        return
    assert text.startswith("/")
    assert text.split() == [text]
    assert not set(text) & set("%$\"'\\`;&|<>*?[]{}()!#\n\0")
    assert os.path.normpath(text) == (text.rstrip("/") or "/")


PREFLIGHT = {
    "platform": "any",
    "supported": {},
    "minimum_kernel": "1",
    "daemon_json": "/x",
    "link_subnet": "10.0.0.0/30",
}


def test_the_preflight_refuses_them_with_the_way_out(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_module("docker_engine_info")
    for name in ("check_platform", "check_distribution", "check_container_and_systemd", "check_kernel", "check_docker"):
        monkeypatch.setattr(containai_host, name, lambda *_: None)
    monkeypatch.setattr(containai_host.containai_link, "look", lambda: ([], []))
    answer = run_module(module, **PREFLIGHT, settings={"group": "a\nb"})
    assert answer["failure"] == "precondition"
    assert "docker_engine_group is 'a\\nb'" in answer["msg"]
    for subnet in ("10.0.0.0/30\nx", "10.0.0.0/30; id", "$(id)", "10.0.0.0/30 ", "a\0"):
        assert "link_subnet" in run_module(module, **{**PREFLIGHT, "link_subnet": subnet})["msg"]
    assert "There is no user" in run_module(module, **PREFLIGHT, user="a\0b")["msg"]


HASH = {"amd64": "a" * 64}
PACKAGE = {"version": "0.7.1", "source": "/x.deb", "sha256": HASH, "architecture": "amd64", "socket": "/run/x.sock"}


def test_the_package_module_refuses_them_before_it_does_anything(commands: Commands, state: Path) -> None:
    for key, value in [
        ("socket", "/x\n[Service]\nExecStart=/bin/id"),
        ("socket", "/x y"),
        ("socket", "/%n"),
        ("version", "0.7.1\n"),
        ("version", "-x"),
        ("version", "0.7; id"),
        ("version", ""),
        ("sha256", {"amd64": "../../../../tmp/x"}),
        ("sha256", {"amd64": 1}),
        ("sha256", {"amd64": "A" * 64}),
        ("sha256", {"amd64": ["x"]}),
    ]:
        answer = run_module(load_module("sysbox_package"), **{**PACKAGE, key: value})
        assert answer["failure"] == "precondition"
        assert f"{'docker_engine' if key == 'socket' else 'sysbox'}_{key}" in answer["msg"]
        assert not [call for call in commands.calls if call[0] != "dpkg-query"]
        assert not state.exists()


SOURCES = [
    path
    for role in ("containai_common", "docker_engine", "sysbox", "docker_context")
    for path in (*ROLES.glob(f"{role}/library/*.py"), *ROLES.glob(f"{role}/module_utils/**/*.py"))
]


def test_the_environment_chooses_no_program_that_root_runs() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            where, given = f"{path.name}:{node.lineno}", {keyword.arg for keyword in node.keywords}
            if node.func.attr in ("run", "Popen") and ast.unparse(node.func.value) == "subprocess":
                assert "env" in given, where
                assert "shell" not in given, where
            elif node.func.attr == "which" and ast.unparse(node.func.value) != "process":
                assert "path" in given, where
            else:
                assert ast.unparse(node.func) not in ("os.system", "os.popen", "module.run_command"), where


# --- other users' tricks with links ---


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    file = tmp_path / "victim"
    file.write_text("precious")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("trick", ["link", "hard link", "link to a folder", "pipe", "folder"])
def test_a_progress_file_of_another_kind_is_left_alone(tmp_path: Path, victim: Path, trick: str) -> None:
    progress = tmp_path / "progress"
    {
        "link": lambda: progress.symlink_to(victim), "hard link": lambda: progress.hardlink_to(victim), "folder": progress.mkdir,
        "link to a folder": lambda: progress.symlink_to(tmp_path), "pipe": lambda: os.mkfifo(progress),
    }[trick]()  # fmt: skip
    progressing.tell(str(progress), "39%")  # a pipe without a reader would hang here
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


def test_a_progress_file_says_how_far_it_is(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    for said in ("a longer text", "39%"):
        progressing.tell(str(progress), said)
    assert progress.read_text() == "39%\n"


def test_a_name_that_is_swapped_while_a_file_is_replaced_harms_nobody(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that another user may write, the temporary file may be anything by the time its mode is set."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "daemon.json").write_text("{}")
    (folder / "daemon.json").chmod(0o666)
    real = os.stat

    def swap(path: Any, *words: Any, **more: Any) -> os.stat_result:
        for temporary in folder.glob(".containai-*") if str(path).endswith("daemon.json") else ():
            temporary.unlink()
            temporary.symlink_to(victim)
        return real(path, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(record.os, "stat", swap)
        record.replace(str(folder / "daemon.json"), b'{"new": 1}')
    assert stat.S_IMODE(victim.lstat().st_mode) == 0o600
    assert victim.read_text() == "precious"


def test_a_backup_and_its_folder_are_the_owners_alone(state: Path) -> None:
    kept = record.Record().backup("/etc/docker/daemon.json", b'{"proxies": "secret"}')
    assert stat.S_IMODE(Path(kept).stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "backup").stat().st_mode) == 0o700


def test_a_secret_file_is_private_from_the_start_and_its_diff_names_no_password(
    tmp_path: Path, commands: Commands, state: Path
) -> None:
    module: ModuleType = load_module("docker_engine_files")
    file = {"path": str(tmp_path / "proxy.env"), "content": 'HTTPS_PROXY="http://me:sesame@proxy"\n', "mode": "0600"}
    answer = run_module(module, files=[file])
    assert stat.S_IMODE((tmp_path / "proxy.env").stat().st_mode) == 0o600
    assert "sesame" in (tmp_path / "proxy.env").read_text()
    assert "sesame" not in str({key: value for key, value in answer.items() if key != "invocation"})
    assert "sesame" not in (state / "record.json").read_text()
