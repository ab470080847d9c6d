"""A dry run's plan against what the run after it reports: the same things, in the same words, in the same order."""

from __future__ import annotations

import re

from cai.output.pages import DONE
from tests.system.box import Box, Done


def planned(text: str) -> list[str]:
    """The items of a plan, said as a summary says them."""
    return [f"{DONE[verb]} {what}" for verb, what in re.findall(r"^  would (\w+) +(.+)$", text, re.MULTILINE)]


def reported(text: str) -> list[str]:
    """The items of a summary."""
    _, _, done = text.partition("\nDone\n")
    return [f"{verb} {what}" for verb, what in re.findall(r"^  (\w+) +(.+)$", done.partition("\n\n")[0], re.MULTILINE)]


def notes(text: str) -> list[str]:
    """What is left, and why. A dry run changes nothing, so it compares nothing with what others did meanwhile."""
    return re.findall(r"^Note: (?!Changed by others meanwhile: )(.+)$", text, re.MULTILINE)


def as_planned(box: Box, command: str, *arguments: str, user: str = "dev") -> Done:
    """Run a command dry and then in earnest; what it did must be what it had said. Returns the run."""
    plan = box.cai(command, "--dry-run", *arguments, user=user).expect(0)
    print(plan.text)
    done = box.cai(command, *(["--yes"] if command == "uninstall" else []), *arguments, user=user).expect(0)
    print(done.text)
    assert planned(plan.out) == reported(done.out)
    if command == "uninstall":  # setup's tell what to do next
        assert notes(plan.out) == notes(done.out)
    return done
