"""The gate tries what Sysbox would do; only EBUSY is a conflict, and only what could not be tried is inconclusive."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_gate as gate

from tests.unit.roles.conftest import ROLES, Commands, load_module, run_module

PROGRAM = (ROLES / "sysbox" / "files" / "seccomp_probe.py").read_text()
BOX = (ROLES / "sysbox" / "files" / "seccomp-conflict.txt").read_text()
WORDING = """
⚠️  WARNING
Sysbox on WSL2 may not work due to seccomp filter conflicts.
Your WSL version (1.1.0+) has a seccomp filter on PID 1 that
conflicts with Sysbox's seccomp-notify mechanism.
Docker Sandbox will still work (this is the hard requirement).
Sysbox provides additional isolation but is optional.
Options:
1. Proceed anyway: cai setup --force
2. Downgrade WSL:  wsl --update --web-download --version 1.0.3
3. Skip Sysbox:    Use Docker Sandbox without Sysbox
"""
LINUX = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="seccomp is Linux's, on amd64 and arm64",
)
EBUSY = 16


@pytest.fixture
def module() -> ModuleType:
    return gate


@pytest.fixture
def init(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[Any, dict[str, str]]:
    """What /proc says: by default PID 1 has no filter, and this process is its child."""
    table = {
        1: {"Seccomp": "0", "Seccomp_filters": "0", "PPid": "0"},
        os.getpid(): {"Seccomp_filters": "0", "PPid": "1"},
    }

    def read(pid: int) -> dict[str, str]:
        return table.get(pid, {})

    monkeypatch.setattr(module, "status", read)
    monkeypatch.setattr(module.descends_from_init, "__defaults__", (read,))
    return table


def answer_with(errno: int) -> str:
    return f"print({errno})"


def run(module: ModuleType, program: str, **more: Any) -> Any:
    parts = ["gate", "health"] if more.pop("report", False) else ["gate"]
    info = load_module("sysbox_info")
    chosen = {"gather_subset": parts, "socket": "/run/x.sock", "gate_program": program, "explanation": BOX, **more}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(info, "platform_here", lambda: "wsl2")
        patch.setattr(info, "look", lambda *_: [])  # the rest of the health report
        check, real = (run_module(info, check_mode=mode, **chosen) for mode in (True, False))
    assert check.get("verdict") == real.get("verdict")
    assert check.get("failed") == real.get("failed")
    return real


@LINUX
def test_the_real_kernel_takes_a_listener_in_a_clean_child(module: ModuleType) -> None:
    errno = module.run_program([], PROGRAM)
    if errno == EBUSY:
        pytest.skip("this machine has a seccomp listener above the tests, which is the very conflict")
    assert errno == 0
    filters = Path("/proc/self/status").read_text()
    assert module.run_program([], PROGRAM) == 0  # the first attempt left nothing on this process
    assert Path("/proc/self/status").read_text().count("Seccomp_filters:\t") == filters.count("Seccomp_filters:\t")


@LINUX
def test_the_real_kernel_refuses_a_second_listener(module: ModuleType) -> None:
    """A parent installs a listener, as WSL's init does; the attempt in its child then meets EBUSY."""
    parent = PROGRAM.replace(
        "print(attempt())",
        "first = attempt()\n    import subprocess, sys\n    print(first, subprocess.run([sys.executable, '-c', sys.argv[1]], capture_output=True, text=True).stdout)",
    )
    assert parent != PROGRAM
    result = subprocess.run(
        [sys.executable, "-c", parent, PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    first, second = result.stdout.split()
    if int(first) == EBUSY:
        pytest.skip("this machine has a seccomp listener above the tests")
    assert (int(first), int(second)) == (0, EBUSY)


@LINUX
def test_a_plain_filter_above_is_no_conflict(module: ModuleType) -> None:
    plain = PROGRAM.replace("ctypes.c_ulong(SECCOMP_FILTER_FLAG_NEW_LISTENER)", "ctypes.c_ulong(0)").replace(
        "print(attempt())",
        "first = attempt()\n    import subprocess, sys\n    print(first, open('/proc/self/status').read().count('Seccomp:\\t2'), "
        "subprocess.run([sys.executable, '-c', sys.argv[1]], capture_output=True, text=True).stdout)",
    )
    result = subprocess.run(
        [sys.executable, "-c", plain, PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    first, mode, second = result.stdout.split()
    assert (first, mode) == ("0", "1"), result.stderr
    if module.run_program([], PROGRAM) == EBUSY:
        pytest.skip("this machine has a seccomp listener above the tests")
    assert second == "0"


def systemd_run(commands: Commands) -> None:
    """Like the original: options first, then the command; its output is passed on because of --pipe."""
    commands.link("env")
    commands.add("systemd-run", 'for word; do case $word in --*) shift;; *) break;; esac; done; exec "$@"')


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_root_asks_systemd(module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    systemd_run(commands)
    init[1].update(Seccomp="2", Seccomp_filters="1")  # a plain filter says nothing
    answer = run(module, answer_with(0))
    assert answer["verdict"] == "compatible"
    assert answer["gate"]["verdict"] == "pass"
    call = commands.of("systemd-run")[0]
    assert {"--wait", "--pipe", "--collect"} <= set(call)
    assert "--user" not in call
    assert "-IS" in call
    assert answer.warned == ""


def test_a_user_asks_the_users_own_manager(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 4321)
    systemd_run(commands)
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/user/4321/systemd/private" or real(path))
    assert (
        run(module, "import os; print(0 if os.environ['XDG_RUNTIME_DIR'] == '/run/user/4321' else 1)")["verdict"]
        == "compatible"
    )
    assert "--user" in commands.of("systemd-run")[0]


@pytest.mark.parametrize("way", ["root", "nobody's manager", "no systemd-run"])
def test_a_conflict_stops(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    as_user(monkeypatch, 0 if way == "root" else 4321)
    if way != "no systemd-run":
        systemd_run(commands)
    answer = run(module, answer_with(EBUSY))
    assert answer["failure"] == "gate"
    assert answer["msg"].startswith(BOX.rstrip())
    assert "EBUSY" in answer["msg"]
    assert "networkingMode=nat" in answer["hint"]
    assert "`wsl --shutdown`" in answer["hint"]
    assert answer["gate"]["verdict"] == "conflict"


def test_force_goes_on_with_a_warning(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 0)
    systemd_run(commands)
    answer = run(module, answer_with(EBUSY), force=True)
    assert not answer.get("failed")
    assert answer["verdict"] == "conflict"
    assert BOX.rstrip() in answer.warned
    assert "--force" in answer.warned
    assert "networkingMode=nat" in answer.warned


# In words: who tries, PID 1's filter, this process's filters and ancestry -> what an accepted listener means.
@pytest.mark.parametrize(
    ("pid1", "own", "verdict"),
    [
        ({"Seccomp": "0"}, {"PPid": "1"}, "compatible"),
        ({"Seccomp": "2", "Seccomp_filters": "1"}, {"Seccomp_filters": "1", "PPid": "1"}, "compatible"),
        ({"Seccomp": "2", "Seccomp_filters": "1"}, {"Seccomp_filters": "3", "PPid": "1"}, "compatible"),
        ({"Seccomp": "2", "Seccomp_filters": "1"}, {"Seccomp_filters": "0", "PPid": "1"}, "inconclusive"),
        ({"Seccomp": "2", "Seccomp_filters": "1"}, {"Seccomp_filters": "1", "PPid": "0"}, "inconclusive"),
        ({}, {}, "inconclusive"),
    ],
)
def test_without_systemd_run_it_depends_on_the_ancestry(
    module: ModuleType, init: Any, commands: Commands, pid1: dict[str, str], own: dict[str, str], verdict: str
) -> None:
    init[1], init[os.getpid()] = pid1, own
    answer = run(module, answer_with(0))
    assert answer["verdict"] == verdict
    assert not answer.get("failed")
    assert bool(answer.warned) == (verdict == "inconclusive")


def test_a_systemd_run_that_does_not_work_falls_back(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 0)
    commands.add("systemd-run", 'echo "System has not been booted with systemd as init system (PID 1)." >&2; exit 1')
    assert run(module, answer_with(0))["verdict"] == "compatible"
    assert run(module, answer_with(EBUSY))["failure"] == "gate"


@pytest.mark.parametrize(
    "program", [answer_with(38), answer_with(1), "print('hello')", "raise SystemExit(3)", "print(-1)", ""]
)
def test_anything_else_is_inconclusive_and_goes_on(
    module: ModuleType, init: Any, commands: Commands, program: str
) -> None:
    answer = run(module, program)
    assert answer["verdict"] == "inconclusive"
    assert answer.warned
    assert not answer.get("failed")


def test_an_attempt_that_hangs_is_given_up(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda *argv, timeout, **more: real(*argv, timeout=min(timeout, 0.3), **more)
    )
    assert module.run_program([], "import time; time.sleep(30)") is None


def test_an_attempt_that_cannot_be_started(module: ModuleType) -> None:
    assert module.run_program(["/no/such/program"], answer_with(0)) is None


def test_a_chain_of_parents_is_followed(module: ModuleType) -> None:
    table = {
        1: {"Seccomp_filters": "1"},
        20: {"PPid": "1", "Seccomp_filters": "1"},
        300: {"PPid": "20", "Seccomp_filters": "1"},
    }
    assert module.descends_from_init(300, lambda pid: table.get(pid, {}))
    table[20]["PPid"] = "0"
    assert not module.descends_from_init(300, lambda pid: table.get(pid, {}))


# What wslinfo prints, None where there is none -> the mode that is told, and what the remedy says.
MODES = {
    "mirrored": ("printf 'mirrored\\r\\n'", "mirrored", ("networkingMode=nat", "`wsl --shutdown`")),
    "virtioproxy": (
        "echo virtioproxy",
        "virtioproxy",
        ("why Windows could not make the NAT network", "`wsl --shutdown`"),
    ),
    "consomme": ("echo Consomme", "consomme", ("why Windows could not make the NAT network", "`wsl --shutdown`")),
    "nat": ("echo nat", "nat", ("`wsl --update`", "`wsl --shutdown`")),
    "no wslinfo": (None, "unknown", ("networkingMode=nat", "`wsl --update`")),
    "interop is off": ("echo failed >&2; exit 1", "unknown", ("networkingMode=nat", "`wsl --update`")),
}


@pytest.mark.parametrize(("script", "mode", "remedy"), MODES.values(), ids=MODES.keys())
def test_the_remedy_fits_the_mode(
    module: ModuleType, init: Any, commands: Commands, script: str | None, mode: str, remedy: tuple[str, ...]
) -> None:
    if script:
        commands.add("wslinfo", script)
    answer = run(module, answer_with(EBUSY))
    assert answer["msg"].startswith(BOX.rstrip())
    assert f"kernel {os.uname().release}, networkingMode {mode})" in answer["msg"]
    for words in remedy:
        assert words in answer["hint"]
    assert ("networkingMode=nat" in answer["hint"]) == (mode in ("mirrored", "unknown"))
    (finding,) = run(module, answer_with(EBUSY), report=True)["findings"]
    assert finding["hint"] == answer["hint"]
    assert answer["hint"] in run(module, answer_with(EBUSY), force=True).warned


ASKED = """printf '\\r\\nHKEY_LOCAL_MACHINE\\\\Software\\\\Policies\\\\WSL\\r\\n    AllowNetworkingModeUserSetting    REG_DWORD    0x%s\\r\\n' """
# What Windows answers about its policies -> whether the mode is fixed.
POLICIES = {
    "forbidden": (f"{ASKED} 0", True),
    "allowed": (f"{ASKED} 1", False),
    "none": ("echo 'ERROR: The system was unable to find the specified registry key' >&2; exit 1", False),
}


@pytest.mark.parametrize(("script", "fixed"), POLICIES.values(), ids=POLICIES.keys())
def test_a_mode_that_a_policy_fixes_is_the_administrators(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch, script: str, fixed: bool
) -> None:
    commands.add("wslinfo", "echo mirrored")
    monkeypatch.setattr(module.containai_wsl_network, "REG", str(commands.add("reg.exe", script)))
    answer = run(module, answer_with(EBUSY))
    assert ("fixed by policy" in answer["msg"]) == fixed
    assert ("administrator" in answer["hint"]) == ("AllowNetworkingModeUserSetting" in answer["hint"]) == fixed
    assert ("networkingMode=nat" in answer["hint"]) == (not fixed)
    assert commands.of("reg.exe")[0] == ["query", r"HKLM\Software\Policies\WSL"]


def test_windows_programs_that_cannot_run_are_no_error(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With interop off the kernel knows no .exe: ENOEXEC."""
    program = commands.folder / "reg.exe"
    program.write_bytes(b"MZ\x90\x00")
    program.chmod(0o755)
    monkeypatch.setattr(module.containai_wsl_network, "REG", str(program))
    answer = run(module, answer_with(EBUSY))
    assert answer["failure"] == "gate"
    assert "networkingMode=nat" in answer["hint"]


def test_windows_is_asked_on_a_conflict_alone(
    module: ModuleType, init: Any, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.containai_wsl_network, "REG", str(commands.add("reg.exe")))
    assert run(module, answer_with(0))["verdict"] == "compatible"
    assert commands.of("reg.exe") == []


@pytest.mark.parametrize(("errno", "status"), [(0, "pass"), (EBUSY, "fail"), (38, "unknown")])
def test_the_health_report_never_fails(
    module: ModuleType, init: Any, commands: Commands, errno: int, status: str
) -> None:
    answer = run(module, answer_with(errno), report=True)
    assert not answer.get("failed")
    (finding,) = answer["findings"]
    assert finding["status"] == status
    assert finding["hint"] or status == "pass"


def test_the_real_status_is_read(module: ModuleType) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("there is no /proc")
    assert module.status("self")["PPid"].isdigit()
    assert module.status(999_999_999) == {}


def width(text: str) -> int:
    """Columns of a text on a terminal: VS16 makes the character before it an emoji of two columns."""
    columns = 0
    for index, char in enumerate(text):
        if char == "\ufe0f" or unicodedata.combining(char):
            continue
        emoji = text[index + 1 : index + 2] == "\ufe0f"
        columns += 2 if emoji or unicodedata.east_asian_width(char) in "WF" else 1
    return columns


def test_the_box_is_a_box() -> None:
    lines = BOX.rstrip("\n").split("\n")
    assert {width(line) for line in lines} == {width(lines[0])} == {68}
    assert [line[0] + line[-1] for line in lines] == ["╔╗", "║║", "╠╣", *["║║"] * (len(lines) - 4), "╚╝"]


def test_the_box_says_what_was_agreed() -> None:
    inside = [line.strip("║").strip() for line in BOX.splitlines() if line.startswith("║")]
    assert [line for line in inside if line] == WORDING.strip().splitlines()
