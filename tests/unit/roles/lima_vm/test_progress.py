"""What a VM's creation and start say of themselves while they run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible.module_utils import containai_lima_progress as progress


def entry(message: str, level: str = "info") -> str:
    return json.dumps({"level": level, "msg": message, "time": "2026-01-01T00:00:00Z"}) + "\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (entry('Waiting for the essential requirement 1 of 2: "ssh"'), "essential 1 of 2, ssh"),
        (entry('The final requirement 1 of 1 is satisfied') + entry('Waiting for the final requirement 1 of 1: "boot scripts must have finished"'), "final 1 of 1, boot scripts must have finished"),
        (entry("Starting QEMU (hint: to watch the boot progress, see serial.log)"), "Starting QEMU (hint: to watch the boot progress, see serial.log)"),
        (entry("ready") + entry("noise", "debug") + "not json\n", "ready"),
        ("[]\nnull\n{}\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_last_stage_of_the_boot_is_told(tmp_path: Path, lines: str, said: str) -> None:
    log = tmp_path / "ha.stderr.log"
    log.write_text(lines)
    assert progress.stage(str(log)) == said


def test_the_log_of_an_earlier_start_is_no_news(tmp_path: Path) -> None:
    log = tmp_path / "ha.stderr.log"
    log.write_text(entry("READY"))
    os.utime(log, (1, 1))
    assert progress.stage(str(log), time.time()) == ""
    assert progress.stage(str(tmp_path / "absent")) == ""


def test_the_download_is_told_before_the_boot_and_nothing_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.01)
    file, log, folder = tmp_path / "progress", tmp_path / "log", tmp_path / "cache" / "abc"
    folder.mkdir(parents=True)
    (folder / "data.tmp.77").write_bytes(b"x" * 2_100_000)

    def until(text: str) -> None:
        end = time.monotonic() + 20
        while (file.read_text() if file.exists() else "") != text:
            assert time.monotonic() < end, file.read_text()
            time.sleep(0.01)

    with progress.telling(str(file), str(log), str(tmp_path / "cache")):
        until("2.1 MB\n")
        (folder / "data.tmp.77").unlink()
        log.write_text(entry("Starting QEMU"))
        until("Starting QEMU\n")
    assert file.read_text() == "\n"


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    with progress.telling("", str(tmp_path / "log"), str(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("platform", "folder"), [("darwin", "/h/Library/Caches"), ("linux", "/h/.cache")])
def test_the_cache_is_where_limactl_keeps_it(monkeypatch: pytest.MonkeyPatch, platform: str, folder: str) -> None:
    monkeypatch.setattr(progress.sys, "platform", platform)
    assert progress.cache({}, "/h") == f"{folder}/lima/download/by-url-sha256"
