"""apt removes and downgrades nothing that is on the host, unless that very package is named."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.roles.conftest import Commands, run_module
from tests.unit.roles.docker_engine.packages.runs import HOST, distro

REMOVES = (
    "Remv podman-docker [5.4.2+ds1-2+b2]\nInst docker-cli (26.1.5 Debian:13/stable [amd64])\nConf docker-cli (26.1.5)\n"
)
DOWNGRADES = "Inst runc [1.3] (1.0 Debian:13/stable [amd64])\nInst libc6 [2.0] (2.1 Debian:13/stable [amd64])\n"


def untouched(commands: Commands, state: Path) -> bool:
    changing = [call for call in commands.calls if call[0] in ("apt-get", "systemctl", "dpkg-divert")]
    return not [call for call in changing if "--simulate" not in call] and not state.exists()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("plan", "name", "text"),
    [
        (REMOVES, "podman-docker", "remove podman-docker 5.4.2+ds1-2+b2"),
        (REMOVES.replace("Remv podman-docker", "Purg fuse:i386"), "fuse", "remove fuse 5.4.2"),
        (DOWNGRADES, "runc", "downgrade runc from 1.3 to 1.0"),
    ],
    ids=["removed", "of another architecture", "downgraded"],
)
def test_a_package_that_would_go_is_named(
    module: ModuleType, host: Path, commands: Commands, state: Path, tmp_path: Path, plan: str, name: str, text: str, check: bool
) -> None:  # fmt: skip
    (tmp_path / "simulated-docker.io").write_text(plan)
    answer = distro(module, check=check)
    assert answer["failure"] == "precondition"
    assert f"apt would {text}" in answer["msg"]
    assert "to install docker.io docker-cli" in answer["msg"]
    assert f"-e 'docker_engine_allow_removal=[\"{name}\"]'" in answer["hint"]
    assert untouched(commands, state)


# An apt that knows of a loss only after it has updated its lists.
LATE = """[ -e {folder}/updated ] || case " $* " in *" update "*) : >{folder}/updated;; esac
[ -e {folder}/updated ] || exit 0
case " $* " in *" --simulate "*) echo "Remv runc [1.3]";; *" --no-remove "*) exit 100;; esac"""


@pytest.mark.parametrize("unowned", [False, True], ids=["apt refuses", "a docker program would be moved aside"])
def test_what_only_the_new_lists_tell_is_refused_too(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded, unowned: bool
) -> None:
    """The repository is given back, and nothing of the transaction is noted as begun."""
    commands.add("apt-get", LATE.format(folder=tmp_path))
    if unowned:
        commands.add("docker")
    answer = distro(module)
    assert answer["failure"] == "precondition"
    assert "remove runc 1.3" in answer["msg"]
    tried = [call for call in commands.of("apt-get") if "--yes" in call]
    assert ["--no-remove" in call for call in tried] == ([] if unowned else [True])
    assert recorded().get("installing", {}) == {}
    assert commands.of("dpkg-divert") == []


def test_one_that_is_named_may_go_and_is_remembered(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, recorded
) -> None:
    (tmp_path / "simulated-docker.io").write_text(REMOVES)
    assert not distro(module, allow_removal=["podman-docker"]).get("failed")
    assert recorded()["removed"] == ["podman-docker"]
    assert "--no-remove" not in next(call for call in commands.of("apt-get") if "--yes" in call)


def test_apt_itself_is_told_to_remove_nothing(module: ModuleType, host: Path, commands: Commands) -> None:
    distro(module)
    call = next(call for call in commands.of("apt-get") if "--yes" in call)
    assert "--no-remove" in call
    assert "APT::Get::AutomaticRemove=false" in call


@pytest.mark.parametrize(
    ("relations", "lost"),
    [
        ("ii \tcontainerd\t1.7\t, \n", ["containerd 1.7"]),
        ("ii \tmoby-cli\t26\tdocker-ce-cli (>= 1), docker-ce, \n", ["moby-cli 26"]),
        ("ii \tpodman-docker\t5\tdocker.io, docker-ce-cli, \nrc \trunc\t1\t, \n", ["podman-docker 5"]),
        ("ii \tpodman\t5\tdocker-ce (<< 1), \nun \trunc\t\t, \n", []),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_before_apt_has_dockers_lists_the_installed_packages_tell(
    module: ModuleType, host: Path, commands: Commands, state: Path, tmp_path: Path, relations: str, lost: list[str], check: bool
) -> None:  # fmt: skip
    (tmp_path / "unplannable").touch()
    (tmp_path / "relations").write_text(relations)
    repository = {
        "apt_url": "https://mirror.example.org",
        "apt_key_url": "file:///none",
        "apt_key_fingerprint": "A" * 40,
    }
    answer = run_module(module, check_mode=check, source="docker", host=HOST, **repository)
    if lost:
        assert answer["failure"] == "precondition"
        assert [name for name in lost if f"remove {name}" in answer["msg"]] == lost
        assert untouched(commands, state)
    else:
        assert answer.get("failure") != "precondition"


def test_the_other_source_is_offered_where_it_keeps_the_package(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "simulated-docker.io").write_text("Remv containerd.io [1.7]\n")
    (tmp_path / "relations").write_text("ii \tcontainerd.io\t1.7\tcontainerd, runc, \n")
    assert "`cai setup -e docker_engine_source=docker`" in distro(module)["hint"]
    (tmp_path / "simulated-docker-ce").write_text("Remv containerd.io [1.7]\n")
    assert "docker_engine_source" not in distro(module)["hint"]


@pytest.mark.parametrize(
    "content", ["#!/bin/sh\nexec /usr/bin/podman \"$@\"\n", "#!/bin/bash\nexec nerdctl \"$@\"\n"]
)  # fmt: skip
def test_a_shim_of_another_program_is_no_docker_cli(
    module: ModuleType, host: Path, commands: Commands, tmp_path: Path, content: str
) -> None:
    commands.add("dockerd")
    commands.add("docker").write_text(content)
    assert distro(module, check=True).actions == [("install", "docker-cli")]
    (commands.folder / "docker").unlink()
    (commands.folder / "podman").write_text("")
    (commands.folder / "docker").symlink_to("podman")
    assert distro(module, check=True).actions == [("install", "docker-cli")]
