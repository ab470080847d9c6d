"""lima_vm_preflight: a setting that Lima, Docker or systemd would read as something else is refused before anything changes."""

from __future__ import annotations

from ..conftest import Run
from .conftest import Call, Mac

IMAGES = ("HTTPS://mirror/x.img", "ftp://mirror/x.img", 5, "", None)


def test_an_image_that_lima_would_fetch_or_trip_over_is_refused(look: Call, mac: Mac) -> None:
    for location in IMAGES:
        mac.put("brew", "native")
        result = look(images=[{"location": location}])
        assert (result["failed"], result["failure"]) == (True, "precondition")


def test_a_name_that_lima_or_docker_takes_for_something_else_is_refused(run: Run, mac: Mac) -> None:
    for name in ["a/b", "-x", "", "..", "_config", "default", "desktop-linux", "a.yaml", "a--b", "x" * 77, "é", "a\n"]:
        mac.put("brew", "native")
        result = run(mac.module, name=name)
        assert result["failure"] == "precondition"
        assert "lima_vm_name" in result["msg"]


def test_an_ordinary_name_is_taken(run: Run, mac: Mac) -> None:
    for name in ["containai-secure", "a", "a.b_c-1"]:
        mac.put("brew", "native")
        assert run(mac.module, name=name)["host"]["directory"].endswith(f"/{name}")


def test_a_proxy_that_lima_or_systemd_would_read_otherwise_is_refused(look: Call, mac: Mac) -> None:
    for proxy in [{"HTTPS_PROXY": "http://{{.Home}}"}, {"HTTPS_PROXY": 'a"b'}, {"PATH": "/x"}, {"HTTPS_PROXY": 3128}]:
        mac.put("brew", "native")
        result = look(proxy=proxy)
        assert result["failure"] == "precondition"
        assert "lima_vm_proxy" in result["msg"]


def test_egress_that_cannot_be_is_refused_before_a_vm_is_made(look: Call, mac: Mac) -> None:
    proxy = {"HTTPS_PROXY": "http://host.lima.internal:3128"}
    for setting in [{"egress_allow": [{"network": "registry.example"}]}, {"egress": "no-private", "proxy": proxy}]:
        mac.put("brew", "native")
        result = look(**setting)
        assert result["failure"] == "precondition"
        assert "docker_engine_egress" in result["msg"]
