"""The manual pages are the texts of --help in man's own language. That they are current: test_contract.py."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from cai import cli
from scripts import manual

PAGES = manual.pages()


def test_every_command_has_a_page() -> None:
    assert set(PAGES) == {"cai.1", *(f"cai-{name}.1" for name in cli.cli.commands)}


@pytest.mark.parametrize("name", cli.cli.commands)
def test_a_page_has_every_option_and_the_exit_codes(name: str) -> None:
    page = PAGES[f"cai-{name}.1"].replace("\\-", "-")
    for param in cli.cli.commands[name].params:
        if isinstance(param, click.Option):
            assert param.opts[0] in page
            assert (param.help or "") in page
    assert ".SH EXIT CODES" in page
    assert ".SH EXAMPLE" in page


@pytest.mark.skipif(not shutil.which("groff"), reason="the pages are read by groff")
@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_say_against_a_page(name: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-c"], input=PAGES[name], capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert "EXIT CODES" in re.sub(".\x08", "", done.stdout)  # bold is written twice


def test_a_line_that_begins_like_a_command_of_man_is_text() -> None:
    assert manual.text(".SH x -y \\n") == "\\&.SH x \\-y \\en"
