"""Uninstall goes by the record: what setup made goes, what was edited or is needed by now stays, and says so."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_data_root as places
from ansible.module_utils.containai_data_root import MARKER
from ansible.module_utils.containai_record import Record

from tests.unit.roles.conftest import Commands, load_module, run_module


class Host:
    """The programs that removal calls; apt's plan is in a file: package, then what goes with it."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands = folder, commands
        self.data_root = folder / "docker-containai"
        self.data_root.mkdir()
        (self.data_root / "containerd").mkdir()
        (self.data_root / MARKER).touch()
        (self.data_root / "volume").write_text("mine")
        self.packages = folder / "packages"
        self.packages.write_text("libc6\ndocker.io\nfuse3\n")
        self.needs: dict[str, list[str]] = {}
        commands.link("cat")
        commands.add("dpkg-query", f"cat {self.packages}")
        commands.add("dpkg-divert")
        commands.add("dpkg")
        commands.add("systemctl", "case $1 in is-enabled) echo disabled; exit 1;; is-active) exit 3;; esac")
        for name in ("gpasswd", "userdel", "groupdel"):
            commands.add(name)
        commands.add("unshare", 'while [ "$1" != /var/lib/docker ]; do shift; done; shift; exec "$@"')
        commands.add("getent", 'echo "$2:x:990:"')
        self.plan()

    def plan(self, code: int = 0) -> None:
        script = f"needs = {self.needs!r}\nwords = [word for word in sys.argv[sys.argv.index('purge') + 1:] if not word.startswith('-')]\n"
        script += "if '--simulate' in sys.argv:\n    for word in words:\n        for name in [word, *needs.get(word, [])]:\n            print(f'Purg {name} [1.0]')\n"
        script += f"else:\n    sys.stderr.write('dpkg: error\\nvia http://me:geheim@proxy:3128\\n' if {code} else '')\n    sys.exit({code})"
        self.commands.add("apt-get", script, python=True)

    def changes(self) -> list[list[str]]:
        looks = {"dpkg-query", "getent", "unshare"}
        return [
            call
            for call in self.commands.calls
            if call[0] not in looks and "--simulate" not in call and call[1:2] not in (["is-enabled"], ["is-active"])
        ]


@pytest.fixture
def module(commands: Commands, state: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_module("docker_engine_removal")
    monkeypatch.setattr(loaded, "PATH", commands.path)
    monkeypatch.setattr(loaded, "STATE_DIR", str(state))
    return loaded


@pytest.fixture
def host(module: ModuleType, tmp_path: Path, commands: Commands) -> Host:
    return Host(tmp_path, commands)


def remove(module: ModuleType, host: Host, **more: Any) -> Any:
    return run_module(module, data_root=str(host.data_root), **more)


def made(path: Path, before: bytes | None, after: bytes) -> None:
    """Change a file as setup does: the record first."""
    record = Record()
    record.note_file(str(path), before, after)
    record.save()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(after)


def note(**lists: list[Any]) -> None:
    record = Record()
    for kind, values in lists.items():
        for value in values:
            record.note(kind, value)
    record.save()


def test_files_go_back_to_what_they_were(module: ModuleType, host: Host, tmp_path: Path, state: Path) -> None:
    new, changed, edited, gone = (tmp_path / "etc" / name for name in ("new", "changed", "edited", "gone"))
    for path, before in ((new, None), (changed, b"theirs"), (edited, b"theirs"), (gone, None)):
        made(path, before, b"ours")
    edited.write_bytes(b"edited since")
    gone.unlink()
    plan = remove(module, host, check_mode=True)
    assert new.exists()
    assert host.changes() == []
    answer = remove(module, host)
    assert plan["actions"] == answer["actions"]
    assert plan["diff"] == answer["diff"]
    assert not new.exists()
    assert changed.read_bytes() == b"theirs"
    assert edited.read_bytes() == b"edited since"
    assert any(str(edited) in line for line in answer["notes"])
    assert not state.exists()
    assert ("remove", str(new)) in answer.actions
    assert ("change", str(changed)) in answer.actions


def test_a_proxys_password_is_not_shown(module: ModuleType, host: Host, tmp_path: Path) -> None:
    made(tmp_path / "proxy.env", b'HTTPS_PROXY="old:p@ss@proxy"\n', b'HTTPS_PROXY="http://me:p@ss@proxy"\n')
    answer = remove(module, host)
    assert "ss@" not in json.dumps(answer)
    assert answer["diff"][0]["before"] == 'HTTPS_PROXY="http://***@proxy"\n'
    assert answer["diff"][0]["after"] == 'HTTPS_PROXY="***@proxy"\n'


def test_a_dry_run_tells_nothing_twice(module: ModuleType, host: Host, tmp_path: Path) -> None:
    """The file's runtime and the package of Sysbox go in steps of their own before; a group goes with its user."""
    settings = tmp_path / "daemon.json"
    made(settings, None, b"{}")
    host.packages.write_text("libc6\ndocker.io\nsysbox-ce\n")
    host.needs["docker.io"] = ["sysbox-ce"]  # as fuse3 takes it along
    host.plan()
    note(packages=["docker.io", "sysbox-ce"], users=["sysbox"], groups=["sysbox", "docker"])
    told = remove(module, host, check_mode=True, daemon_json=str(settings)).actions
    assert ("remove", "packages: docker.io") in told
    assert ("remove", "group docker") in told
    assert not [what for _, what in told if what in (str(settings), "group sysbox") or "sysbox-ce" in what]


@pytest.mark.parametrize("check", [True, False])
def test_an_edited_daemon_json_is_told_by_the_step_that_takes_the_runtime_out(
    module: ModuleType, host: Host, tmp_path: Path, check: bool
) -> None:
    """It changed there by one entry: that it "is left as it is" would be no truth, and a user without root cannot know of the edit."""
    settings = tmp_path / "daemon.json"
    made(settings, b"{ }", b"{}")
    settings.write_bytes(b'{"debug": true}')
    answer = remove(module, host, check_mode=check, daemon_json=str(settings))
    assert not [text for text in [*answer["notes"], *(what for _, what in answer.actions)] if str(settings) in text]
    assert settings.read_bytes() == b'{"debug": true}'


@pytest.mark.parametrize(("before", "verb"), [(None, "remove"), (b"theirs", "change")])
def test_a_dry_run_that_may_not_read_tells_the_rest_too(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, verb: str
) -> None:
    secret, plain = tmp_path / "a-secret", tmp_path / "b-plain"
    made(secret, before, b"ours")
    made(plain, None, b"ours")
    real = module.read

    def read(path: str) -> bytes | None:
        if path == str(secret):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(module, "read", read)
    answer = remove(module, host, check_mode=True)
    assert (verb, str(secret)) in answer.actions
    assert ("remove", str(plain)) in answer.actions
    assert answer.warned == ""


def test_without_a_record_nothing_is_removed(module: ModuleType, host: Host) -> None:
    answer = remove(module, host)
    assert not answer["changed"]
    assert [call for call in host.changes() if call != ["systemctl", "daemon-reload"]] == []
    assert (host.data_root / "volume").exists()


def test_our_packages_go(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3", "not-there-any-more"])
    assert ("remove", "packages: docker.io fuse3") in remove(module, host).actions
    (call,) = [call for call in host.changes() if call[0] == "apt-get"]
    assert call[-4:] == ["purge", "--yes", "docker.io", "fuse3"]


def test_a_package_that_is_needed_by_now_stays(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3"])
    host.needs = {"fuse3": ["sshfs"]}
    host.plan()
    answer = remove(module, host)
    assert ("remove", "packages: docker.io") in answer.actions
    assert "fuse3 stays: sshfs needs it by now." in answer["notes"]


def test_the_purge_runs_in_its_shelter(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io"])
    remove(module, host)
    (call,) = host.commands.of("unshare")
    assert call[: len(module.SHELTERED) - 1] == list(module.SHELTERED[1:])
    assert "purge" in call


def test_the_shelter_is_real(module: ModuleType, tmp_path: Path, needs_root: None) -> None:
    """What a rude postrm does to Docker's folder reaches only an empty one, and unmounts nothing."""
    docker, beside = tmp_path / "docker", tmp_path / "docker-containai"
    for folder in (docker, beside):
        folder.mkdir()
        (folder / "precious").touch()
    rude = f"rm -rf {docker}/*; umount -f {beside} 2>/dev/null; ls {docker}"
    done = subprocess.run(
        [*module.SHELTERED[:-1], str(docker), "sh", "-c", rude],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.stdout == ""
    assert (docker / "precious").exists()
    assert (beside / "precious").exists()


def test_docker_stays_where_it_is_in_use_by_now(module: ModuleType, host: Host) -> None:
    note(packages=["docker.io", "fuse3"])
    host.commands.add("systemctl", "case $1 in is-enabled) echo enabled;; esac")
    answer = remove(module, host)
    assert ("remove", "packages: fuse3") in answer.actions
    assert any("docker.service is in use" in line for line in answer["notes"])


def test_apts_refusal_keeps_the_record(module: ModuleType, host: Host, state: Path) -> None:
    note(packages=["docker.io"])
    host.plan(code=100)
    answer = remove(module, host)
    assert "apt could not remove docker.io:\ndpkg: error\nvia http://***@proxy:3128" in answer["msg"]
    assert "`sudo dpkg --configure -a`" in answer["hint"]
    assert json.loads((state / "record.json").read_text())["packages"] == ["docker.io"]
    host.plan()
    assert remove(module, host)["changed"]
    assert not state.exists()


def test_groups_members_and_diversions_go(module: ModuleType, host: Host) -> None:
    note(
        groups=["containai"], users=["sysbox"], members=[["containai", "dev"]], diversions=["/usr/bin/docker.containai"]
    )
    answer = remove(module, host)
    assert ("change", "group containai: take out dev") in answer.actions
    assert ("remove", "group containai") in answer.actions
    changes = host.changes()
    assert ["gpasswd", "--delete", "dev", "containai"] in changes
    assert ["groupdel", "containai"] in changes
    assert ["userdel", "sysbox"] in changes
    (divert,) = [call for call in changes if call[0] == "dpkg-divert"]
    assert divert[-2:] == ["--remove", "/usr/bin/docker"]


def test_data_stays_unless_it_is_purged(module: ModuleType, host: Host) -> None:
    answer = remove(module, host)
    assert (host.data_root / "volume").read_text() == "mine"
    assert any("`cai uninstall --purge`" in line for line in answer["notes"])
    remove(module, host, check_mode=True, purge=True)
    assert host.data_root.exists()
    assert remove(module, host, purge=True)["changed"]
    assert not host.data_root.exists()


def test_a_purged_mount_point_is_open_again(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of the next setup, by who is not root, must see that it is empty."""

    real = os.rmdir

    def busy(path: str, **more: Any) -> None:
        if path == str(host.data_root):
            raise OSError(16, "Device or resource busy", path)
        real(path, **more)

    monkeypatch.setattr(module.os, "rmdir", busy)
    host.data_root.chmod(0o710)
    remove(module, host, purge=True)
    assert list(host.data_root.iterdir()) == []
    assert host.data_root.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("wrong", ["/", "/home", "/var/lib", "/etc", "folder"])
def test_a_folder_without_our_mark_survives_a_purge(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    (tmp_path / "folder" / "photos").mkdir(parents=True)
    (tmp_path / "folder" / "containerd").mkdir()
    removed: list[str] = []
    monkeypatch.setattr(module, "empty", removed.append)  # lest a mistake be paid for with the machine
    monkeypatch.setattr(module, "mark", removed.append)
    answer = run_module(module, purge=True, data_root=str(tmp_path / wrong))
    assert removed == []
    assert any("no mark of an engine of ours" in line for line in answer["notes"])


def test_a_purge_goes_by_the_record_as_well(module: ModuleType, host: Host, tmp_path: Path) -> None:
    note(data_roots=[str(host.data_root), str(tmp_path / "gone")])
    answer = run_module(module, purge=True, data_root="/var/lib/docker-containai-none")
    assert answer.actions[0] == ("remove", f"{host.data_root} (images, containers, volumes)")
    assert not host.data_root.exists()


@pytest.mark.parametrize("more", ["", "photos"])
def test_data_from_before_the_mark(
    module: ModuleType, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """The unit, which goes first, tells whose they are; not where files of the user's are beside them."""
    root, unit = tmp_path / "data", tmp_path / "unit"
    (root / "containerd").mkdir(parents=True)
    (root / more).mkdir(exist_ok=True)
    monkeypatch.setattr(places, "UNIT", str(unit))
    made(unit, None, f"ExecStart=dockerd --data-root {root} --pidfile /x\n".encode())
    run_module(module, data_root=str(root))
    assert not unit.exists()
    run_module(module, purge=True, data_root=str(root))
    assert root.exists() == bool(more)


def test_an_interrupted_purge_goes_on(module: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "unlink", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            module.empty(str(host.data_root))
    assert module.is_ours(str(host.data_root))
    assert remove(module, host, purge=True)["changed"]
    assert not host.data_root.exists()


def test_a_folder_that_is_in_use_stays(module: ModuleType, host: Host, tmp_path: Path) -> None:
    empty, used, file = tmp_path / "empty", tmp_path / "used", tmp_path / "key.json"
    empty.mkdir()
    used.mkdir()
    (used / "theirs").touch()
    file.touch()
    note(folders=[str(path) for path in (empty, used, file, tmp_path / "none")])
    remove(module, host, check_mode=True)
    assert empty.exists()
    remove(module, host)
    assert not empty.exists()
    assert not file.exists()
    assert (used / "theirs").exists()


def test_a_second_time_changes_nothing(module: ModuleType, host: Host, tmp_path: Path) -> None:
    made(tmp_path / "etc" / "new", None, b"ours")
    assert remove(module, host)["changed"]
    assert not remove(module, host)["changed"]


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_a_backup_that_is_not_whole_is_not_put_back(
    module: ModuleType, host: Host, tmp_path: Path, recorded, damage: str
) -> None:
    path = tmp_path / "etc" / "daemon.json"
    made(path, b"theirs", b"ours")
    backup = Path(recorded()["files"][str(path)]["backup"])
    backup.unlink() if damage == "gone" else backup.write_bytes(b"thei")
    answer = remove(module, host)
    assert path.read_bytes() == b"ours"
    assert any(str(path) in line for line in answer["notes"])
