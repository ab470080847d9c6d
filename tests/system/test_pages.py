"""What docs/using.md says is what happens: the blocks that are marked as tried, and those of other tools with these tools."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import paths
from tests.system.box import IMAGE, VENV, Box

PAGE = (paths.ROOT / "docs" / "using.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- tried(?:: (\S+))? -->\n```\w+\n(.*?)```", re.DOTALL)
FOLDER = "/home/dev/page"


@pytest.fixture
def box(hosts) -> Box:
    made: Box = hosts("pages", state="converged")
    made.sh("apt-get -qq update && apt-get -qq install -y docker-compose-v2 >/dev/null")
    made.sh(f"install -d -o dev {FOLDER}")
    return made


def blocks() -> list[tuple[str, str]]:
    """(file to write or "", text) of each block that is tried."""
    return [(found[1] or "", found[2].replace("ubuntu:24.04", IMAGE)) for found in BLOCK.finditer(PAGE)]


@pytest.mark.slow
def test_the_tried_blocks_of_the_page(box: Box) -> None:
    lines = 0
    for name, text in blocks():
        if name:
            box.write(f"{FOLDER}/{Path(name).name}", text, owner=(1000, 1000))
            continue
        for line in text.splitlines():
            command = line.removeprefix("$ ")
            done = box.shell(f"cd {FOLDER} && PATH={VENV}/bin:$PATH {command}")
            print(f"$ {command}\n{done.text}")
            assert done.code == 0, f"{command}\n{done.text}"
            lines += 1
            if "uid_map" in command:
                assert isolated(done.out), done.text
    assert lines >= 10


def section(title: str) -> list[str]:
    """The code blocks below a heading, with the image that is here."""
    text = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [
        re.sub(r"ubuntu:24\.04|mcr\.[^\"]+", IMAGE, block) for block in re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)
    ]


def typed(block: str) -> str:
    return " && ".join(line.removeprefix("$ ") for line in block.splitlines())


def isolated(text: str) -> bool:
    return bool(re.search(r"^\s*0\s+[1-9]\d+\s", text, re.MULTILINE))


@pytest.mark.slow
def test_dev_containers_with_its_own_command(box: Box, tmp_path: Path) -> None:
    """The newest `devcontainer` of the npm registry that this machine uses."""
    subprocess.run(["npm", "pack", "--silent", "@devcontainers/cli"], cwd=tmp_path, check=True, timeout=300)
    (packed,) = tmp_path.glob("*.tgz")
    box.write("/opt/devcontainers.tgz", packed.read_bytes())
    box.sh("DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nodejs >/dev/null")
    box.sh("tar -C /opt -xzf /opt/devcontainers.tgz")
    box.write("/usr/local/bin/devcontainer", '#!/bin/sh\nexec node /opt/package/devcontainer.js "$@"\n', 0o755)
    settings, commands = section("Dev Containers")
    box.sh(f"install -d -o dev {FOLDER}/.devcontainer")
    box.write(f"{FOLDER}/.devcontainer/devcontainer.json", settings, owner=(1000, 1000))
    # It asks the container which system it is, and our image does not say.
    box.docker(f"run --name named {IMAGE} sh -c 'mkdir -p /etc; echo ID=busybox >/etc/os-release'").expect(0)
    box.docker(f"commit named {IMAGE}").expect(0)
    done = box.shell(f"cd {FOLDER} && {typed(commands)}")
    # Its exit code is not looked at: where it does not reach its own site it says 1 after this outcome.
    assert done.document["outcome"] == "success", done.text
    assert isolated(box.docker(f"exec {done.document['containerId']} cat /proc/self/uid_map").out)


@pytest.mark.slow
def test_testcontainers_for_python(box: Box, tmp_path: Path) -> None:
    """The newest of the package index that this machine uses."""
    wanted = ["--python-version", "3.12", "--only-binary=:all:", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", *wanted, "-d", tmp_path, "testcontainers"],
        check=True,
        timeout=300,
    )
    box.sh("mkdir -p /opt/wheels")
    for wheel in tmp_path.glob("*.whl"):
        box.write(f"/opt/wheels/{wheel.name}", wheel.read_bytes())
    exports, program = section("Testcontainers")
    box.write(f"{FOLDER}/try.py", program)
    install = "python3 -m venv tc && tc/bin/pip install -q --no-index --find-links /opt/wheels testcontainers"
    done = box.shell(f"cd {FOLDER} && {install} && {typed(exports)} && tc/bin/python try.py")
    assert done.code == 0, done.text
    assert isolated(done.out)
