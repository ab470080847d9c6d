"""What the health report says of the runtime's entry in daemon.json."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible.module_utils import containai_sysbox_health
from ansible.module_utils.containai_sysbox_health import of_runtime

PROGRAM = "/usr/bin/sysbox-runc"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


@pytest.mark.parametrize(
    ("text", "status", "found", "hint"),
    [
        ('{"runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}}', "pass", "has the runtime", ""),
        ("{}", "fail", "has no runtime sysbox-runc", "`cai setup`"),
        (None, "fail", "has no runtime sysbox-runc", "`cai setup`"),
        ('{"debug": tru', "fail", "cannot be used: it is not valid JSON", "`sudoedit "),
    ],
)
def test_the_health_report(file: Path, text: str | None, status: str, found: str, hint: str) -> None:
    if text is not None:
        file.write_text(text)
    finding = of_runtime(str(file), PROGRAM)
    assert (finding["part"], finding["status"]) == ("runtime", status)
    assert found in finding["found"]
    assert hint in finding["hint"]


@pytest.mark.parametrize(("error", "status"), [(errno.EACCES, "unknown"), (errno.EIO, "fail")])
def test_the_health_report_of_a_file_that_cannot_be_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: int, status: str
) -> None:
    def no(path: str) -> bytes:
        raise OSError(error, os.strerror(error), path)

    monkeypatch.setattr(containai_sysbox_health, "read", no)
    finding = of_runtime(str(file), PROGRAM)
    assert finding["status"] == status
    assert os.strerror(error) in finding["found"]
    assert "`" in finding["hint"]
