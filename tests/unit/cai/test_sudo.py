import getpass
import os
import stat
import sys
from pathlib import Path

import pytest

from cai import sudo
from cai.errors import CaiError, Exit

# A stand-in; tests/system has the real sudo-rs.
FAKE = """#!/bin/sh
[ "$1" != --version ] || {{ echo "$1" >> "$0.asked"; echo "{version}"; exit; }}
echo "$@" >> "$0.calls"
case "$*" in
  "-k -n /usr/bin/true") exit {free} ;;
  "-k -S -p  /usr/bin/true") read -r given; [ "$given" = "right" ] && exit 0; echo "{said}" >&2; exit 1 ;;
  *) read -r given; echo "$given|$*" >> "$0.ended" ;;
esac
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def make(free=1, said="Sorry", answers=("right",), name="sudo", version="Sudo version 1.9.13p3"):
        path = tmp_path / name
        path.write_text(FAKE.format(free=free, said=said, version=version))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        given = iter(answers)
        monkeypatch.setattr(getpass, "getpass", lambda prompt: next(given))
        return path

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1)
    monkeypatch.setattr(sudo, "_terminal", lambda: None)
    sudo._unknown_to_ansible.cache_clear()
    yield make
    sudo._unknown_to_ansible.cache_clear()


def test_a_sudo_is_asked_once_what_it_is(fake):
    path = fake()
    assert sudo.password() == "right"
    assert Path(f"{path}.asked").read_text() == "--version\n"


def test_root_is_not_asked(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert sudo.password() is None


def test_nobody_is_asked_where_sudo_needs_no_password(fake):
    fake(free=0, answers=())
    assert sudo.password() is None


def test_the_password_is_asked_for_once_and_never_on_a_command_line(fake):
    path = fake()
    assert sudo.password() == "right"
    assert "right" not in path.with_suffix(".calls").read_text()


def test_a_typing_error_is_forgiven_twice(fake, capsys):
    fake(answers=("wrong", "wrong", "right"))
    assert sudo.password() == "right"
    assert capsys.readouterr().err.count("Sorry, try again.") == 2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Sorry, try again.", "did not accept the password"),
        ("me is not in the sudoers file.", "may not use sudo"),
        ("sudo-rs: I'm sorry me. I'm afraid I can't do that", "may not use sudo"),
    ],
)
def test_a_refusal_is_an_unmet_precondition(fake, said, message):
    fake(said=said, answers=["wrong"] * 3)
    with pytest.raises(CaiError, match=message) as caught:
        sudo.password()
    assert caught.value.code == Exit.PRECONDITION
    assert caught.value.hint


RS = "sudo-rs 0.2.5"


def test_the_classic_sudo_is_taken_where_another_has_its_name(fake):
    other = fake(version=RS)
    path = fake(name="sudo.ws")
    assert sudo.password() == "right"
    assert sudo.program() == "sudo.ws"
    assert not other.with_suffix(".calls").exists()
    assert Path(f"{path}.calls").read_text().count("-S") == 1


def test_a_sudo_whose_question_ansible_does_not_know_is_refused_before_it_is_asked(fake):
    fake(version=RS, answers=())
    with pytest.raises(CaiError, match=r"The sudo here is sudo-rs 0\.2\.5") as caught:
        sudo.password()
    assert caught.value.code == Exit.PRECONDITION
    assert "sudo.ws" in caught.value.message
    assert "`sudo cai setup`" in caught.value.hint  # pytest is no `cai`


def test_an_ansible_that_knows_the_question_takes_any_sudo(fake, monkeypatch):
    fake(name="sudo.ws")
    fake(version=RS)
    monkeypatch.setattr(sudo, "_ansible_version", lambda: "2.22.0rc1")
    assert sudo.password() == "right"
    assert sudo.program() == "sudo"


def test_without_a_password_any_sudo_will_do(fake):
    fake(version=RS, free=0, answers=())
    assert sudo.password() is None
    assert sudo.program() == "sudo"


def test_no_sudo_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaiError, match="there is no sudo"):
        sudo.password()


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("/usr/local/bin/cai", "sudo cai setup"),
        ("/home/me/.local/bin/cai", "sudo /home/me/.local/bin/cai setup"),
        ("/home/my user/bin/cai", "sudo '/home/my user/bin/cai' setup"),
        ("/home/me/venv/lib/cai/__main__.py", "sudo cai setup"),
    ],
)
def test_no_terminal_is_said(fake, monkeypatch, program, typed):
    fake()
    monkeypatch.setattr(sys, "argv", [program, "setup"])

    def none():
        raise OSError

    monkeypatch.setattr(sudo, "_terminal", none)
    with pytest.raises(CaiError, match="no terminal to ask on") as caught:
        sudo.password()
    assert f"run `{typed}`" in caught.value.hint


@pytest.mark.parametrize(("secret", "expected"), [("right", "right|-S -k -p  /bin/sh -c"), (None, "|-n /bin/sh -c")])
def test_roots_processes_end_through_sudo(fake, secret, expected):
    path = fake()
    sudo.end([7, 8], secret)
    ended = path.with_suffix(".ended").read_text()
    assert ended.startswith(expected)
    assert ended.endswith(" sh 7 8\n")
