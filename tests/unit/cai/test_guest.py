"""What a step in the VM says to type is typed on this machine."""

from __future__ import annotations

import io
import shlex

import pytest

from cai import events, output
from cai.cli.common import _context
from cai.guest import typed_here
from cai.platforms import Platform
from cai.report import Report

VM = "containai-secure"


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ("run `sudo systemctl restart docker`", f"run `limactl shell {VM} sudo systemctl restart docker`"),
        ("`systemctl status x` and `journalctl -u x`", f"`limactl shell {VM} systemctl status x` and `limactl shell {VM} journalctl -u x`"),
        ("run `df -h /var` and `cai setup` again", f"run `limactl shell {VM} df -h /var` and `cai setup` again"),
        ("use `-e sysbox_downgrade=true`", "use `-e sysbox_downgrade=true`"),
        ("run `limactl stop x`, then `brew upgrade lima`", "run `limactl stop x`, then `brew upgrade lima`"),
        ("read the log", "read the log"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_command_is_led_into_the_vm(hint: str, typed: str) -> None:
    assert typed_here(hint, VM) == typed
    assert typed_here(hint, "localhost") == typed_here(hint, "") == hint


def test_all_parts_of_a_compound_command_run_in_the_vm() -> None:
    command = "sudo chgrp docker /run/docker.sock && echo 'it is'"
    typed = typed_here(f"`{command}`", VM).strip("`")
    assert shlex.split(typed) == ["limactl", "shell", VM, "sh", "-c", command]


def reported(host: str) -> Report:
    report = Report("doctor", "macos")
    report.add(events.Finding("socket", "fail", "it is closed", "run `sudo chmod 660 /var/run/docker.sock`", host))
    report.add(events.Failure("failed", "It broke.", hint="run `journalctl -u docker`", host=host))
    report.add(events.Stats((host,), (), 0, 1))
    return report


def test_a_report_says_where_and_what_to_type_here() -> None:
    report, out = reported(VM), io.StringIO()
    output.health(output.console(out), report)
    assert f"socket in the VM  it is closed -> run `limactl shell {VM} sudo chmod" in out.getvalue()
    assert report.errors[0].message == f"{VM}: It broke."
    assert report.errors[0].hint == f"run `limactl shell {VM} journalctl -u docker`"
    assert report.document()["findings"][0]["hint"].startswith("run `limactl shell")


def test_a_report_of_this_machine_is_as_it_was() -> None:
    report = reported("localhost")
    assert report.findings[0].hint == "run `sudo chmod 660 /var/run/docker.sock`"
    assert report.errors[0].message == "It broke."


@pytest.mark.parametrize(
    ("variables", "platform", "context"),
    [
        ({}, Platform.MACOS, "containai-secure"),
        ({"lima_vm_name": "x"}, Platform.MACOS, "x"),
        ({"lima_vm_name": "x", "docker_context_name": "y"}, Platform.MACOS, "y"),
        ({"lima_vm_name": "x"}, Platform.LINUX, "containai-secure"),
        ({"docker_context_name": "y"}, Platform.WSL2, "y"),
    ],
)
def test_the_next_command_names_the_context_of_the_run(
    variables: dict[str, str], platform: Platform, context: str
) -> None:
    report, out = Report("setup", platform.value, context=_context(variables, platform)), io.StringIO()
    output.summary(output.console(out), report)
    named = f"docker --context {context} run" if context != "containai-secure" else "cai run"
    assert named in out.getvalue()
