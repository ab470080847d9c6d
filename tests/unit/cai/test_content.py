import pytest

from cai import content
from cai.errors import CaiError, Exit


def make(root, *names):
    (root / "playbooks").mkdir(parents=True)
    for name in names:
        (root / "playbooks" / name).touch()
    return root


def test_the_override_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv(content.OVERRIDE, str(make(tmp_path)))
    assert content.root() == tmp_path


def test_the_bundled_copy_comes_before_the_repository(tmp_path, monkeypatch):
    monkeypatch.delenv(content.OVERRIDE, raising=False)
    monkeypatch.setattr(content, "__file__", str(tmp_path / "cai" / "content.py"))
    make(tmp_path)
    assert content.root() == tmp_path
    make(tmp_path / "cai" / "_content")
    assert content.root() == tmp_path / "cai" / "_content"


def test_a_wrong_override_is_named_and_nothing_else_is_tried(tmp_path, monkeypatch):
    monkeypatch.setenv(content.OVERRIDE, str(tmp_path / "absent"))
    with pytest.raises(CaiError) as caught:
        content.root()
    assert "absent" in caught.value.message
    assert caught.value.hint == f"run `unset {content.OVERRIDE}`"
    assert caught.value.code == Exit.PRECONDITION


def test_setup_runs_the_platforms_playbook_and_others_a_prefixed_one(tmp_path, monkeypatch):
    monkeypatch.setenv(content.OVERRIDE, str(make(tmp_path, "wsl2.yml", "doctor-macos.yml")))
    assert content.playbook("setup", "wsl2").name == "wsl2.yml"
    assert content.playbook("doctor", "macos").name == "doctor-macos.yml"
    with pytest.raises(CaiError, match=r"uninstall-linux\.yml"):
        content.playbook("uninstall", "linux")
