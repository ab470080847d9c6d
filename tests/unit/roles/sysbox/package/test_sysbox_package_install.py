"""The package is the pinned one or none, and its scripts run in a shadow of /etc/docker."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import containai_sysbox_deb as deb
from ansible.module_utils import containai_sysbox_rules as rules

from tests.unit.roles.conftest import run_module
from tests.unit.roles.sysbox.package.host import Host, look, package


def test_it_is_installed(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, recorded, made, drop_in: Path
) -> None:
    plan = run_module(module, check_mode=True, **parameters)
    assert host.changes() == []
    assert not (tmp_path / "units").exists()
    assert not (tmp_path / "state").exists()
    answer = run_module(module, **parameters)
    assert answer["changed"]
    assert answer.actions == plan.actions == [*made, ("install", "Sysbox 0.7.1")]
    assert answer["diff"] == plan["diff"]
    assert (plan["version"], answer["version"]) == ("", "0.7.1")  # the report of a fleet has the one that is there
    assert host.version == "0.7.1.linux"
    assert drop_in.read_text().splitlines()[-1] == f"Environment=DOCKER_HOST=unix://{tmp_path}/ours.sock"
    assert recorded()["packages"] == ["fuse3", "sysbox-ce"]
    assert recorded()["installing"] == {}
    assert list(Path(module.DOWNLOADS).iterdir()) == []  # the package is not needed any more
    assert list((tmp_path / "run").iterdir()) == []


def test_the_packages_scripts_see_a_daemon_json_that_leaves_them_nothing_to_do(
    module: ModuleType, host: Host, parameters: dict[str, Any]
) -> None:
    run_module(module, **parameters)
    text = host.shadow.read_text()
    for line in (
        '    "bip": "172.20.0.1/16"',
        '    "default-address-pools": [',
    ):  # what the package greps for, four spaces deep
        assert line in text
    assert json.loads(text)["runtimes"]["sysbox-runc"] == {"path": "/usr/bin/sysbox-runc"}
    (call,) = [call for call in host.commands.of("unshare") if "install" in call]
    assert call[:3] == ["--mount", "--propagation", "private"]
    assert {"fuse3", "kmod"} <= set(call)
    assert "fuse" not in call


def test_a_second_time_changes_nothing(module: ModuleType, host: Host, parameters: dict[str, Any], recorded) -> None:
    run_module(module, **parameters)
    before, calls = recorded(), len(host.changes())
    answer = run_module(module, **parameters)
    assert not answer["changed"]
    assert answer["version"] == "0.7.1"
    assert host.changes()[calls:] == []
    assert recorded() == before


@pytest.mark.parametrize("check_mode", [True, False])
def test_no_checksum_no_package(module: ModuleType, host: Host, parameters: dict[str, Any], check_mode: bool) -> None:
    answer = run_module(module, check_mode=check_mode, **{**parameters, "architecture": "arm64"})
    assert answer["failure"] == "precondition"
    assert "arm64" in answer["msg"]
    assert "sysbox_sha256" in answer["hint"]
    assert host.changes() == []


@pytest.mark.parametrize(
    "data", [package("0.7.0"), package(architecture="arm64"), package(name="sysbox-ee"), b"no package"]
)
def test_another_package_is_refused_before_any_change(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, data: bytes
) -> None:
    Path(parameters["source"]).write_bytes(data)
    parameters["sha256"] = {"amd64": hashlib.sha256(data).hexdigest()}
    answer = run_module(module, **parameters)
    assert answer["failure"] == "precondition"
    assert "sysbox-ce 0.7.1 for amd64 is needed" in answer["msg"]
    assert host.changes() == []
    assert not (tmp_path / "units").exists()


def test_apts_word_is_passed_on_and_apt_left_able_to_work(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    host.broken.touch()
    answer = run_module(module, **parameters)
    assert "E: dpkg was interrupted" in answer["msg"]
    assert "Could not connect to http://***@proxy:3128" in answer["msg"]
    assert "`sudo apt-get" in answer["hint"]
    assert ["dpkg", "--configure", "-a"] in host.commands.calls
    assert list((tmp_path / "run").iterdir()) == []
    host.broken.unlink()
    assert run_module(module, **parameters)["changed"]
    assert host.version == "0.7.1.linux"


def test_a_run_killed_after_dpkg_is_settled_by_the_next(
    module: ModuleType, host: Host, parameters: dict[str, Any], recorded, state: Path
) -> None:
    run_module(module, **parameters)
    data = recorded()
    del data["packages"]
    data["installing"] = {"sysbox": {"packages": ["libc6"], "groups": [], "users": []}}
    (state / "record.json").write_text(json.dumps(data))
    run_module(module, check_mode=True, **parameters)
    assert recorded()["installing"]
    run_module(module, **parameters)
    assert recorded()["packages"] == ["fuse3", "sysbox-ce"]
    assert recorded()["installing"] == {}
    assert not run_module(module, **parameters)["changed"]


def test_two_lines_of_ids_become_one(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "subuid").write_text("dev:100000:65536\nsysbox:165536:65536\nsysbox:231072:65536\n")
    (tmp_path / "subgid").write_text("sysbox:165536:65536\ndev:100000:65536\n")
    run_module(module, **parameters)
    assert sorted((tmp_path / "subuid").read_text().splitlines()) == ["dev:100000:65536", "sysbox:165536:65536"]
    assert (tmp_path / "subgid").read_text() == "sysbox:165536:65536\ndev:100000:65536\n"


def test_the_shadow_is_real(needs_root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real unshare and mount: what the command writes below /etc/docker never reaches it."""
    import subprocess

    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace can be made here (CAP_SYS_ADMIN is missing)")
    settings, scratch = tmp_path / "etc-docker", tmp_path / "run"
    settings.mkdir()
    scratch.mkdir()
    (settings / "daemon.json").write_text("mine")
    monkeypatch.setattr(deb, "DOCKER_SETTINGS", str(settings))
    monkeypatch.setattr(deb, "SCRATCH", str(scratch))
    result = deb.in_shadow(
        [
            "sh",
            "-c",
            f'cat {settings}/daemon.json; echo theirs >{settings}/daemon.json; echo "$1"; exit 7',
            "sh",
            "an argument",
        ]
    )
    assert result.returncode == 7
    assert json.loads(result.stdout[: result.stdout.rindex("}") + 1]) == deb.SHADOW
    assert result.stdout.endswith("an argument\n")
    assert (settings / "daemon.json").read_text() == "mine"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("source", ["sysbox.deb", "./sysbox.deb", "~/sysbox.deb", "", "/a\nb", "https://x/a b", "://x"])
@pytest.mark.parametrize("how", ["plan", "check", "run"])
def test_a_package_has_a_place_that_does_not_depend_on_where_the_run_stands(
    module: ModuleType, host: Host, parameters: dict[str, Any], source: str, how: str
) -> None:
    chosen = {**parameters, "source": source}
    answer = look("plan", chosen) if how == "plan" else run_module(module, check_mode=how == "check", **chosen)
    assert answer["failure"] == "precondition"
    assert "sysbox_deb" in answer["msg"]
    assert host.commands.calls == []


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_package_that_is_not_there_is_refused_early(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, scheme: str, check_mode: bool
) -> None:
    for name, said in {"none.deb": "No such file or directory", "run": "it is no file"}.items():
        answer = look("plan", {**parameters, "source": f"{scheme}{tmp_path}/{name}"}, check_mode=check_mode)
        assert (answer["failure"], said in answer["msg"]) == ("precondition", True)
    assert look("plan", {**parameters, "source": f"{scheme}{tmp_path}/sysbox.deb"}, check_mode=check_mode)["needed"]
    host.has("0.7.1")  # then nobody asks for it
    assert not look("plan", {**parameters, "source": f"{scheme}{tmp_path}/none.deb"}, check_mode=check_mode).get(
        "failed"
    )
    assert host.changes() == []


def test_a_package_in_a_folder_that_only_root_may_enter_is_left_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rules.os, "stat", refuse)  # root may look everywhere
    rules.check_file("/root/sysbox.deb")


@pytest.mark.parametrize("early", [True, False])
def test_a_package_that_would_go_for_sysbox_is_named(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path, recorded, early: bool
) -> None:
    (tmp_path / "lost").write_text("Remv fuse [2.9.9]\nInst fuse3 (3.10 Ubuntu:22.04/jammy [amd64])\n")

    def act(**more: Any) -> Any:
        return look("plan", {**parameters, **more}) if early else run_module(module, **parameters, **more)

    answer = act()
    assert answer["failure"] == "precondition"
    assert "remove fuse 2.9.9" in answer["msg"]
    assert host.version is None
    assert act(allow_removal=["fuse"]).get("failed") is None
    # The comparison at the end and the uninstall know of it by this.
    assert recorded().get("removed", []) == ([] if early else ["fuse"])


def test_sysbox_is_not_removed_with_what_others_brought(
    module: ModuleType, host: Host, parameters: dict[str, Any], tmp_path: Path
) -> None:
    run_module(module, **parameters)
    (tmp_path / "lost").write_text("Purg my-agents [1.0]\nPurg sysbox-ce [0.7.1]\n")
    answer = run_module(module, state="absent", **parameters)
    assert "apt would remove my-agents with it" in answer["msg"]
    assert host.version == "0.7.1.linux"
