"""Every command explains itself, and nothing but messages and documented codes leaves cai."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest

from cai import cli
from cai.cli import common
from cai.errors import CaiError, Exit
from cai.platforms import Platform

ROOT = Path(__file__).resolve().parents[3]

COMMANDS = sorted(cli.cli.commands)


def help_of(name):
    command = cli.cli.commands[name]
    return command.get_help(click.Context(command, info_name=f"cai {name}"))


def test_the_commands_are_the_documented_ones():
    assert COMMANDS == ["completion", "docker", "doctor", "path", "run", "setup", "status", "uninstall"]


def test_every_command_has_help_an_example_and_its_exit_codes():
    for name in COMMANDS:
        text = help_of(name)
        assert cli.cli.commands[name].help.strip().endswith("."), name
        assert re.search(rf"Examples?:\n\s+.*cai {name}", text), text
        assert "Exit codes:" in text
        for option in cli.cli.commands[name].params:
            if isinstance(option, click.Option):
                assert option.help.endswith("."), option.name


def test_help_fits_a_terminal_of_eighty_columns(sandbox):
    for words in ([], *([name] for name in COMMANDS)):
        text = sandbox.quick(*words, "--help", COLUMNS="80").stdout
        assert max(map(len, text.splitlines())) <= 80, words
        assert not [row for row in text.splitlines() if row.startswith("  ") and row.endswith("...")], words


def test_the_commands_that_run_a_playbook_share_their_options():
    for name in ("setup", "doctor", "uninstall"):
        options = {text for option in cli.cli.commands[name].params for text in option.opts}
        assert {"--json", "--verbose", "-v", "--extra-var", "-e"} <= options, name


def test_the_main_help_names_every_exit_code():
    for code in Exit:
        assert re.search(rf"\b{int(code)}\b", cli.HELP), code


def test_help_loads_nothing_heavy():
    code = "import sys; from cai.cli import run; run(['--help']); print(sorted(set(sys.modules) & {heavy}))"
    heavy = {"ansible_runner", "ansible", "rich", "yaml", "pexpect"}
    done = subprocess.run([sys.executable, "-c", code.format(heavy=heavy)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_usage(sandbox):
    for typed, code in (
        ("--version", 0),
        ("--help", 0),
        ("setup --nonsense", 2),
        ("nonsense", 2),
        ("setup -e nonsense", 2),
        ("uninstall", 2),
        ("uninstall --json", 2),
        ("completion tcsh", 2),
    ):
        done = sandbox.quick(*typed.split())
        assert done.returncode == code, typed
        assert "Traceback" not in done.stderr
        assert bool(done.stderr) == bool(code), typed


def test_uninstall_without_a_terminal_says_what_to_type(sandbox):
    done = sandbox.quick("uninstall")
    assert done.stderr == "Error: There is no terminal to ask on.\n Hint: run `cai uninstall --yes`\n"


def test_completion_scripts_complete_cai(sandbox):
    scripts = {shell: sandbox.quick("completion", shell) for shell in ("bash", "zsh", "fish")}
    for shell, done in scripts.items():
        assert done.returncode == 0, shell
        assert "_CAI_COMPLETE" in done.stdout
    # At the second Tab too.
    assert "$zsh_eval_context[-1] == (loadautofunc|shfunc) " in scripts["zsh"].stdout


def test_completion_completes(sandbox):
    done = sandbox.cai(_CAI_COMPLETE="bash_complete", COMP_WORDS="cai do", COMP_CWORD="1")
    assert "doctor" in done.stdout


def test_path_prints_the_folder_and_nothing_else(sandbox):
    assert sandbox.quick("path").stdout == f"{sandbox.content}\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_no_mistake_of_ours(monkeypatch, capsys, code):
    def full():
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(common, "supported_platform", full)
    assert cli.run(["setup"]) == Exit.FAILED
    said = capsys.readouterr().err
    assert os.strerror(code) in said
    assert "df -h" in said
    assert "mistake" not in said


def test_a_mistake_of_ours_is_a_message_with_a_log_never_a_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(common, "supported_platform", lambda: 1 / 0)
    assert cli.run(["setup"]) == Exit.INTERNAL
    errors = capsys.readouterr().err
    assert errors.startswith("Error: ZeroDivisionError: division by zero\n")
    assert "Traceback" not in errors
    (log,) = tmp_path.rglob("stdout")
    assert "Traceback" in log.read_text()
    assert log.parent.name in errors


@pytest.mark.parametrize("arguments", [["setup", "--dry-run"], ["doctor"]])
def test_a_mistake_in_a_command_that_changes_nothing_leaves_nothing_either(monkeypatch, tmp_path, arguments):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(common, "supported_platform", lambda: 1 / 0)
    assert cli.run(arguments) == Exit.INTERNAL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "hint"), [(Platform.WSL1, "wsl --set-version Ubuntu 2"), (Platform.UNSUPPORTED, "")])
def test_a_platform_without_a_playbook_is_refused(monkeypatch, capsys, kind, hint):
    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    monkeypatch.setattr(common.platforms, "detect", lambda: kind)
    assert cli.run(["setup", "--dry-run"]) == Exit.PRECONDITION
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("kind", [Platform.WSL1, Platform.UNSUPPORTED])
def test_a_platform_without_a_playbook_is_a_finding_of_doctor(monkeypatch, capsys, kind):
    monkeypatch.setattr(common.platforms, "detect", lambda: kind)
    assert cli.run(["doctor", "--json"]) == Exit.PRECONDITION
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((ROOT / "cai/schemas/document.json").read_text()))
    (finding,) = document["findings"]
    assert (finding["part"], finding["status"]) == ("platform", "fail")
    assert "needed" in finding["found"] or "needs" in finding["found"]
    assert "`" in finding["hint"]
    assert cli.run(["doctor"]) == Exit.PRECONDITION
    assert "1 part of 1 must be mended" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt, 130), (click.Abort, 130), (CaiError("x", code=Exit.UNREACHABLE), 4)],
)
def test_every_end_has_its_code(monkeypatch, error, code):
    def fail():
        raise error

    monkeypatch.setattr(common, "supported_platform", fail)
    assert cli.run(["doctor"]) == code


@pytest.mark.parametrize("arguments", ["path", "setup --help", "completion bash"])
def test_a_reader_that_goes_away_is_no_drama(sandbox, arguments):
    command = f"{sys.executable} -m cai {arguments} | exec true"
    done = subprocess.run(["sh", "-c", command], env=sandbox.environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["setup", "--dry-run"], ["doctor"]])
def test_no_bytecode_is_written_where_nothing_may_change(sandbox, tmp_path, arguments):
    cache = tmp_path / "cache"
    sandbox.cai(*arguments, "-e", "nonsense", PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(cache))
    # Python compiles the entry point before it can be told not to.
    assert {path.name.split(".")[0] for path in cache.rglob("*.pyc") if path.parent.name == "cai"} <= {
        "__init__",
        "__main__",
    }
    assert not list(cache.rglob("setup.*.pyc"))
