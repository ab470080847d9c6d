"""lima_vm_preflight: a setting that Lima, Docker or systemd would read as something else is refused before anything changes."""

from __future__ import annotations

from typing import Any

import pytest

from ..conftest import Run
from .conftest import Call, Mac

IMAGES = ("HTTPS://mirror/x.img", "ftp://mirror/x.img", 5, "", None)


@pytest.mark.parametrize("location", IMAGES)
def test_an_image_that_lima_would_fetch_or_trip_over_is_refused(look: Call, mac: Mac, location: Any) -> None:
    mac.put("brew", "native")
    result = look(images=[{"location": location}])
    assert (result["failed"], result["failure"]) == (True, "precondition")


@pytest.mark.parametrize(
    "name", ["a/b", "-x", "", "..", "_config", "default", "desktop-linux", "a.yaml", "a--b", "x" * 77, "é", "a\n"]
)
def test_a_name_that_lima_or_docker_takes_for_something_else_is_refused(run: Run, mac: Mac, name: str) -> None:
    mac.put("brew", "native")
    result = run(mac.module, name=name)
    assert result["failure"] == "precondition"
    assert "lima_vm_name" in result["msg"]


@pytest.mark.parametrize("name", ["containai-secure", "a", "a.b_c-1"])
def test_an_ordinary_name_is_taken(run: Run, mac: Mac, name: str) -> None:
    mac.put("brew", "native")
    assert run(mac.module, name=name)["host"]["directory"].endswith(f"/{name}")


@pytest.mark.parametrize(
    "proxy", [{"HTTPS_PROXY": "http://{{.Home}}"}, {"HTTPS_PROXY": 'a"b'}, {"PATH": "/x"}, {"HTTPS_PROXY": 3128}]
)
def test_a_proxy_that_lima_or_systemd_would_read_otherwise_is_refused(
    look: Call, mac: Mac, proxy: dict[str, Any]
) -> None:
    mac.put("brew", "native")
    result = look(proxy=proxy)
    assert result["failure"] == "precondition"
    assert "lima_vm_proxy" in result["msg"]
