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


def test_rules_that_the_vm_does_not_have_are_refused_before_it_is_made(look: Call, mac: Mac) -> None:
    for setting in [{"egress": "no-private"}, {"egress_allow": [{"network": "10.0.0.0/8"}]}]:
        mac.put("brew", "native")
        result = look(**setting)
        assert result["failure"] == "precondition"
        assert "in the VM on macOS containers may connect everywhere" in result["msg"]
