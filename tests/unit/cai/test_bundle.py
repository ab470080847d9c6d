import json
import stat
import tarfile

import pytest

from cai import bundle
from cai.errors import CaiError
from cai.report import Report

SECRETS = [
    "https://me:sesame@mirror/x",
    "Authorization: Bearer sesame",
    "password=sesame",
    'DOCKER_TOKEN="sesame sesame"',
    '"auth_token": "sesame"',
    "api-key: sesame",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nsesame\n-----END OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_taken_out(text):
    clean = bundle.redact(f"before {text}\nafter", {})
    assert "sesame" not in clean
    assert clean.startswith("before ")
    assert clean.endswith("\nafter")


def test_names_are_taken_out_as_words_only():
    names = {"ann": "user", "annabox": "host"}
    assert bundle.redact("/home/ann ann@annabox planned ann-1", names) == "/home/user user@host planned user-1"


@pytest.mark.parametrize("text", ["runtimes: {}", "docker-ce 28.1", "https://mirror/x", "token-less"])
def test_the_rest_stays(text):
    assert bundle.redact(text, {}) == text


def test_a_bundle_holds_report_versions_and_last_log_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    monkeypatch.setenv("USER", "ann")
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    run = tmp_path / "ann/.local/state/containai/runs/1"
    run.mkdir(parents=True)
    (run / "stdout").write_text("of ann: password=sesame")
    target = tmp_path / "out.tar.gz"
    bundle.pack(target, Report("doctor", "linux"))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        texts = {entry.name: archive.extractfile(entry).read().decode() for entry in archive}
    assert texts["cai-bundle/last-run.txt"] == "of user: password=***"
    assert json.loads(texts["cai-bundle/report.json"])["command"] == "doctor"
    assert "python" in texts["cai-bundle/versions.txt"]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.tar.gz"]


def test_a_bundle_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(CaiError, match="cannot be written"):
        bundle.pack(tmp_path / "absent" / "x.tar.gz", Report("doctor", "linux"))


def test_links_that_another_user_put_there_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "shared" / "out.tar.gz"
    target.parent.mkdir()
    for name in ("out.tar.gz", "out.tar.gz.part", ".cai-bundle-"):
        (target.parent / name).symlink_to(victim)
    bundle.pack(target, Report("doctor", "linux"))
    assert victim.read_text() == "precious"
    assert not target.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
