"""What windows.yml changes in WSL's two settings files, and what it refuses."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.roles.conftest import Answer, Commands, run_module

NOTHING = {
    "systemd": False,
    "networking_mode": "",
    "restart": "never",
    "stop": [],
    "profile": "",
    "distribution": "Debian",
}


@pytest.fixture(scope="module")
def file(playbook_module: Any) -> ModuleType:
    return importlib.import_module("ansible.module_utils.containai_wsl_file")


# What is in the file, and what becomes of it.
SYSTEMD = {
    "no file": (None, b"[boot]\nsystemd=true\n"),
    "empty": (b"", b"[boot]\nsystemd=true\n"),
    "other sections": (b"[user]\ndefault=dev\n", b"[user]\ndefault=dev\n[boot]\nsystemd=true\n"),
    "no last newline": (b"[user]\ndefault=dev", b"[user]\ndefault=dev\n[boot]\nsystemd=true\n"),
    "the section": (b"[boot]\ncommand=x\n[user]\n", b"[boot]\nsystemd=true\ncommand=x\n[user]\n"),
    "the section at the end": (b"#\n[boot]", b"#\n[boot]\nsystemd=true\n"),
    "another value": (b"[Boot]\r\n Systemd = False # no\r\n", b"[Boot]\r\n Systemd = true # no\r\n"),
    "twice": (b"[boot]\nsystemd=false\n[boot]\nsystemd=0\n", b"[boot]\nsystemd=true\n[boot]\nsystemd=true\n"),
    "a comment": (b"[boot]\n#systemd=true\n", b"[boot]\nsystemd=true\n#systemd=true\n"),
    "another section's": (b"[x]\nsystemd=false\n", b"[x]\nsystemd=false\n[boot]\nsystemd=true\n"),
    "quoted": (b'[boot]\nsystemd="false"\n', b"[boot]\nsystemd=true\n"),
    "empty value": (b"[boot]\nsystemd=\n", b"[boot]\nsystemd=true\n"),
    "continued": (b"[boot]\ncommand=a \\\n  systemd=false\n", b"[boot]\nsystemd=true\ncommand=a \\\n  systemd=false\n"),
    # WSL passes over the line with the mark.
    "a mark": (b"\xef\xbb\xbf[boot]\nx=1\n", b"\xef\xbb\xbf[boot]\nx=1\n[boot]\nsystemd=true\n"),
    "asked for": (b"[boot]\nsystemd=true\n", None),
    "asked for in other words": (b"[boot]\nsystemd = 1 # yes\n", None),
    "asked for in quotes": (b'[boot]\nsystemd = "True"\n', None),
}


@pytest.mark.parametrize(("before", "after"), SYSTEMD.values(), ids=SYSTEMD.keys())
def test_systemd_is_asked_for_and_the_rest_stays(file: ModuleType, before: bytes | None, after: bytes | None) -> None:
    made = file.SettingsFile("wsl.conf", before)
    made.set((("boot", "systemd"),), "true", ("1",))
    assert made.encoded == (before if after is None else after)
    again = file.SettingsFile("wsl.conf", made.encoded)
    again.set((("boot", "systemd"),), "true", ("1",))
    assert again.encoded == made.encoded


MODE = (("wsl2", "networkingMode"), ("experimental", "networkingMode"))
TEXT = "# Jürgens\r\n[wsl2]\r\nnetworkingMode=mirrored\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_windows_encodings_stay(file: ModuleType, encoding: str) -> None:
    made = file.SettingsFile(".wslconfig", TEXT.encode(encoding), windows=True)
    made.set(MODE, "nat")
    assert made.encoded == TEXT.replace("mirrored", "nat").encode(encoding)


def test_the_older_name_of_the_mode_is_changed_too(file: ModuleType) -> None:
    made = file.SettingsFile(".wslconfig", b"[experimental]\nnetworkingMode=mirrored\n", windows=True)
    made.set(MODE, "nat")
    assert made.encoded == b"[experimental]\nnetworkingMode=nat\n"


UNREADABLE = {
    "no key": (b"[boot]\nsystemd\n", False, "line 2, 'systemd'"),
    "an open section": (b"\n[boot\n", False, "line 2, '[boot'"),
    "an open quote": (b'[boot]\ncommand="a\n', False, "line 2"),
    "a bad escape": (b"[wsl2]\nswapFile=C:\\Users\\me\n", True, "line 2"),
    "another key": (b"[boot]\nmy-key=1\n", False, "line 2"),
    "UTF-16 in the distro": ("[boot]\n".encode("utf-16"), False, "UTF-16"),
    "UTF-16 without a mark": ("[wsl2]\n".encode("utf-16-le"), True, "NUL bytes"),
    "big endian": (b"\xfe\xff" + "[wsl2]\n".encode("utf-16-be"), True, "UTF-16"),
    "half a letter": (b"\xff\xfe[", True, "UTF-16-LE: byte 2"),
    "Latin 1": (b"# J\xfcrgen\n", True, "UTF-8: byte 3"),
}


@pytest.mark.parametrize(("data", "windows", "words"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_wsl_does_not_read_is_refused(file: ModuleType, data: bytes, windows: bool, words: str) -> None:
    with pytest.raises(file.Failure) as refused:
        file.SettingsFile("/x", data, windows)
    assert words in refused.value.message
    assert "`nano /x`" in refused.value.hint


LINES = st.sampled_from(
    ["", "# systemd=no", "[boot]", "[BOOT] # x", "[user]", "[wsl2]", "a=1", "systemd=false", " systemd = 0 #", 'b = "#"', "c = \\\\", "d=\\", "  e=2"]
)  # fmt: skip


@given(st.lists(LINES, max_size=9), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_other_line_stays_and_a_second_time_changes_nothing(
    file: ModuleType, lines: list[str], newline: str, ended: bool
) -> None:
    text = newline.join(lines) + (newline if ended else "")
    try:
        made = file.SettingsFile("wsl.conf", text.encode())
    except file.Failure as refused:
        assert "does not understand" in str(refused)
        return
    made.set((("boot", "systemd"),), "true", ("1",))
    after = file.SettingsFile("wsl.conf", made.encoded)
    values = {value for name, value, _ in after.entries if name == ("boot", "systemd")}
    assert values == {"true"}
    kept = [line for line in re.split("\r?\n", made.text) if line.strip() and "systemd" not in line]
    given_lines = [line for line in lines if line.strip() and "systemd" not in line]
    assert [line for line in kept if line != "[boot]"] == [line for line in given_lines if line != "[boot]"]
    text = after.text
    after.set((("boot", "systemd"),), "true", ("1",))
    assert after.text == text


# --- the module ---


@pytest.fixture
def module(
    playbook_module: Callable[[str], ModuleType], commands: Commands, tmp_path: Path, monkeypatch: Any
) -> ModuleType:
    """The module in a WSL2 distro of a Windows user whose drive is mounted."""
    made = playbook_module("containai_wsl_settings")
    profile = tmp_path / "c/Users/Jürgen"
    profile.mkdir(parents=True)
    monkeypatch.setattr(made, "platform_here", lambda: "wsl2")
    monkeypatch.setattr(made, "WSL_CONF", str(tmp_path / "wsl.conf"))
    monkeypatch.setattr(made, "RUNS", str(tmp_path))
    monkeypatch.setattr(made.containai_wsl_network, "REG", str(tmp_path / "no reg.exe"))
    commands.link("sed", "iconv")
    commands.add("wslpath", f"""printf '%s\\n' "$2" | sed 's,^C:,{tmp_path}/c,; s,\\\\,/,g'""")
    commands.add("wslinfo", "echo mirrored")
    system = tmp_path / "c/Windows/System32"
    system.mkdir(parents=True)
    program = commands.add("cmd", r"printf 'USERPROFILE=C:\\Users\\Jürgen\r\n' | iconv -f UTF-8 -t UTF-16LE")
    (system / "cmd.exe").symlink_to(program)
    return made


def run(module: ModuleType, check_mode: bool = False, **asked: Any) -> Answer:
    return run_module(module, check_mode=check_mode, **{**NOTHING, **asked})


def files(folder: Path) -> dict[str, bytes]:
    places = [*folder.glob("wsl.conf*"), *folder.glob("c/Users/*/.wslconfig*")]
    return {path.name: path.read_bytes() for path in places}


def test_nothing_is_asked_for(module: ModuleType, tmp_path: Path) -> None:
    answer = run(module)
    assert (answer["changed"], answer["missing"], answer["restart"], files(tmp_path)) == (False, [], "", {})


def test_both_are_changed_once_and_the_old_ones_kept(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wsl.conf").write_bytes(b"[boot]\nsystemd=false\n")
    (tmp_path / "c/Users/Jürgen/.wslconfig").write_bytes(TEXT.encode("utf-16"))
    before = files(tmp_path)
    asked = {"systemd": "yes", "networking_mode": "nat", "restart": "wsl"}
    foreseen = run(module, check_mode=True, **asked)
    assert files(tmp_path) == before, "check mode"
    answer = run(module, **asked)
    assert foreseen["actions"] == answer["actions"]
    assert foreseen["diff"] == answer["diff"]
    assert [one["after"] for one in answer["diff"]] == ["[boot]\nsystemd=true\n", TEXT.replace("mirrored", "nat")]
    assert (answer["missing"], answer["restart"]) == (["wsl"], "wsl")
    after = files(tmp_path)
    kept = {name: data for name, data in after.items() if name.endswith(".bak")}
    assert sorted(kept.values()) == sorted(before.values())
    assert not [name for name in after if name.endswith(".new")]
    again = run(module, **asked)
    assert (again["changed"], again["restart"], files(tmp_path)) == (False, "wsl", after)


def test_a_file_that_root_alone_may_read_stays_so(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "wsl.conf").write_text("[boot]\n")
    (tmp_path / "wsl.conf").chmod(0o600)
    assert run(module, systemd=True)["changed"]
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("wsl.conf*")} == {"0o600"}
    assert len(files(tmp_path)) == 2


def test_a_file_that_cannot_be_read_leaves_both_alone(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "c/Users/Jürgen/.wslconfig").write_bytes(b"nonsense\n")
    answer = run(module, systemd=True, networking_mode="nat")
    assert answer["failure"] == "precondition"
    assert "line 1, 'nonsense'" in answer["msg"]
    assert set(files(tmp_path)) == {".wslconfig"}


@pytest.mark.parametrize(("level", "restart"), [("never", ""), ("distro", "distro"), ("wsl", "wsl")])
def test_no_more_is_restarted_than_is_allowed(module: ModuleType, monkeypatch: Any, level: str, restart: str) -> None:
    monkeypatch.setattr(module, "RUNS", "/there/is/none")
    answer = run(module, systemd=True, networking_mode="nat", restart=level)
    assert (answer["missing"], answer["restart"]) == (["distro", "wsl"], restart)
    assert "`cai_windows_restart=wsl`" in "".join(answer["notes"])


def test_a_restart_of_the_distro_is_enough_for_systemd(module: ModuleType, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "RUNS", "/there/is/none")
    assert run(module, systemd=True, restart="wsl")["restart"] == "distro"
    assert "`wsl.exe --terminate Debian`" in run(module, systemd=True)["notes"][0]
    refused = run(module, systemd=True, restarted="distro")
    assert "systemd does not run in it" in refused["msg"]


def test_a_mode_that_windows_chose_itself_asks_for_no_restart(
    module: ModuleType, commands: Commands, tmp_path: Path, monkeypatch: Any
) -> None:
    commands.add("wslinfo", "echo virtioproxy")
    monkeypatch.setattr(module, "newer_than_boot", lambda path: False)
    (tmp_path / "c/Users/Jürgen/.wslconfig").write_bytes(b"[wsl2]\nnetworkingMode=nat\n")
    answer = run(module, networking_mode="nat", restart="wsl")
    assert (answer["changed"], answer["restart"]) == (False, "")
    assert "could not make the NAT network" in answer["notes"][0]
    assert "in the network mode virtioproxy, not nat" in run(module, networking_mode="nat", restarted="wsl")["msg"]


def test_a_mode_that_a_policy_fixes_is_refused(
    module: ModuleType, commands: Commands, tmp_path: Path, monkeypatch: Any
) -> None:
    program = commands.add("reg", "echo '    AllowNetworkingModeUserSetting    REG_DWORD    0x0'")
    monkeypatch.setattr(module.containai_wsl_network, "REG", str(program))
    answer = run(module, systemd=True, networking_mode="nat")
    assert "policy" in answer["msg"]
    assert files(tmp_path) == {}


def test_the_drive_is_not_mounted(module: ModuleType, commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "c/Windows/System32/cmd.exe").unlink()
    answer = run(module, networking_mode="nat")
    assert "The drive C: of Windows is not mounted" in answer["msg"]
    answer = run(module, networking_mode="nat", profile=str(tmp_path / "c/Users/Jürgen"))
    assert answer["changed"]


def test_interop_is_off(module: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "c/Windows/System32/cmd.exe"
    program.unlink()
    program.write_bytes(b"MZ\x90\x00")
    program.chmod(0o755)
    answer = run(module, networking_mode="nat")
    assert "Windows does not tell this distro its user's folder" in answer["msg"]
    assert "`-e cai_windows_profile=" in answer["hint"]


WRONG = {
    "systemd": ({"systemd": "perhaps"}, "cai_windows_systemd is 'perhaps'; true or false"),
    "mode": ({"networking_mode": "mirrored"}, "cai_windows_networking_mode is 'mirrored'; nat"),
    "restart": ({"restart": "always"}, "cai_windows_restart is 'always'; never, distro or wsl"),
    "stop": ({"stop": "docker-desktop"}, "cai_windows_stop is 'docker-desktop'; a list"),
    "profile": ({"profile": "C:\\Users\\me"}, "the path in the distro"),
    "a typing error": ({"variables": ["cai_windows_stop", "cai_windows_sytemd"]}, "no variable cai_windows_sytemd"),
}


@pytest.mark.parametrize(("asked", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_variable_that_cannot_be_meant_is_refused(module: ModuleType, tmp_path: Path, asked: Any, words: str) -> None:
    answer = run(module, **{"systemd": True, **asked})
    assert answer["failure"] == "precondition"
    assert words in answer["msg"]
    assert "`" in answer["hint"]
    assert files(tmp_path) == {}


@pytest.mark.parametrize("platform", ["linux", "wsl1"])
def test_another_host_is_refused(module: ModuleType, monkeypatch: Any, platform: str) -> None:
    monkeypatch.setattr(module, "platform_here", lambda: platform)
    answer = run(module, systemd=True)
    assert answer["failure"] == "unsupported"
    assert platform in answer["msg"]
