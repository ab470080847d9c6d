import json
import re
import stat
import tarfile

import pytest

from cai import bundle, events
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
    "proxy-authorization=Basic sesame",
    '"Authorization": "Bearer sesame"',
    "sent Bearer sesame.sesame-sesame==",
    "AWS_SECRET_ACCESS_KEY=sesame",
    "https://x/?a=1&sig=sesame",
    "https://x/?X-Amz-Signature=sesame",
    "DefaultEndpointsProtocol=https;AccountKey=sesame",
    '"auth": "sesame"',
    '"identitytoken": "sesame"',
    "docker login --username me --password sesame",
    "curl -u me:sesame",
    "machine x login sesame password sesame",
    "client.secret: sesame",
]
# Made up, each in the form of its kind.
TOKENS = [
    "ghp_" + "a1" * 18, "github_pat_" + "b2" * 20, "glpat-" + "c3" * 10, "dckr_pat_" + "d4" * 12, "npm_" + "e5" * 18,
    "pypi-" + "f6" * 30, "hf_" + "g7" * 17, "AKIA" + "H8" * 8, "AIza" + "i9" * 18, "ya29." + "j0" * 20,
    "sk-ant-api03-" + "k1" * 20, "sk_live_" + "m2" * 12, "xoxb-" + "1234567890-" * 2 + "abc", "hvs." + "n3" * 12,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "tskey-auth-" + "p4" * 10,
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS, ids=[token[:8] for token in TOKENS])
@pytest.mark.parametrize("around", ["{}", "x {} y", '"{}"', "logged in as {}.", "--build-arg=T={}"])
def test_a_token_is_known_by_its_form(token, around):
    clean = bundle.redact(around.format(token), {})
    assert token not in clean
    assert "***" in clean


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_taken_out(text):
    clean = bundle.redact(f"before {text}\nafter", {})
    assert "sesame" not in clean
    assert clean.startswith("before ")
    assert clean.endswith("\nafter")


def test_names_are_taken_out_as_words_only():
    names = {"ann": "user", "annabox": "host"}
    assert bundle.redact("/home/ann ann@annabox planned ann-1", names) == "/home/user user@host planned user-1"


@pytest.mark.parametrize(
    "text",
    [
        "runtimes: {}",
        "docker-ce 28.1",
        "https://mirror/x",
        "token-less",
        "basic needs",
        "ask-pass is not sk-",
        "sha256:9d6d5484f980d0a17f86c492c1262015c2afb66280bdb97215b79fde6a0261c5",
        "/usr/bin/dockerd --config-file /etc/docker/daemon.json --group containai",
        "docker run -e A=b x",
        "https://x/?a=1&b=2",
        "sysbox-runc 0.7.1 commit 278997aab055ad6eec9e48a555b90eef877596b7",
        "author: somebody",
    ],
)
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


def test_the_text_for_a_bug_report_holds_no_name_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    monkeypatch.setenv("USER", "ann")
    for name in ("SUDO_USER", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    run = tmp_path / "ann/.local/state/containai/runs/1"
    run.mkdir(parents=True)
    (run / "stdout").write_text("of ann: password=sesame \x1b[2J")
    report = Report("doctor", "linux", finished=True)
    report.add(events.Finding("engine", "fail", "ann's engine is stopped", "run `cai setup`"))
    text = bundle.issue_text(report)
    assert "- fail: engine: user's engine is stopped -> run `cai setup`" in text
    assert "of user: password=*** \\x1b[2J" in text
    assert "python" in text
    assert "sesame" not in text
    assert not re.search(r"\bann\b", text)
