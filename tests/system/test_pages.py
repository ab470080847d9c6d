"""The commands of docs/using.md that are marked as tried do what the page says, in the order of the page."""

from __future__ import annotations

import re
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


def test_the_tried_blocks_of_the_page(box: Box) -> None:
    typed = 0
    for name, text in blocks():
        if name:
            box.write(f"{FOLDER}/{Path(name).name}", text, owner=(1000, 1000))
            continue
        for line in text.splitlines():
            command = line.removeprefix("$ ")
            done = box.shell(f"cd {FOLDER} && PATH={VENV}/bin:$PATH {command}")
            print(f"$ {command}\n{done.text}")
            assert done.code == 0, f"{command}\n{done.text}"
            typed += 1
            if "uid_map" in command:
                assert re.search(r"^\s*0\s+[1-9]\d+\s", done.out, re.MULTILINE), done.text
    assert typed >= 10
