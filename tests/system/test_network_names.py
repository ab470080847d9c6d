"""Names as our engine resolves them, whatever resolver the machine has."""

from __future__ import annotations

import pytest

from tests.system.box import Box

# An address that is a name, and an image that no registry has.
NOWHERE = "deb.debian.org/nothing/here:1"


@pytest.fixture(scope="module")
def desktop(hosts) -> Box:
    """Set up the engine on a native Ubuntu, whose only resolver is systemd-resolved's stub on 127.0.0.53."""
    made: Box = hosts("names", dress="linux")
    made.setup()
    return made


@pytest.mark.xfail(
    strict=True, reason="dockerd lives in a network namespace of its own, where nothing listens on 127.0.0.53"
)
def test_a_pull_resolves_with_the_resolver_of_a_desktop(desktop: Box) -> None:
    assert "127.0.0.53" in desktop.sh("grep ^nameserver /etc/resolv.conf")
    said = desktop.docker(f"pull {NOWHERE}").text
    print(said)
    assert "lookup" not in said, "the name was not resolved"
