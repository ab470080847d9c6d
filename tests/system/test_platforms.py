"""What a machine is taken for: kernels of any name, on a real host below a PID 1 with a listener; and derivatives of Ubuntu and Debian."""

from __future__ import annotations

import pytest

from tests.system.box import Box

# What the kernel says in a test host; they are files of the host's own dress.
VERSION, RELEASE = "/run/test-host/version", "/run/test-host/kernel/osrelease"


@pytest.fixture(scope="module")
def box(hosts):
    made: Box = hosts("kernels", kind="listener", suite="noble")
    made.sh(f"cp {VERSION} /root/version; cp {RELEASE} /root/release")
    return made


@pytest.fixture(autouse=True)
def _undress(request):
    """Give the host its own looks back."""
    yield
    if "box" in request.fixturenames:
        box: Box = request.getfixturevalue("box")
        box.sh(f"cat /root/version >{VERSION}; cat /root/release >{RELEASE}; rm -f /usr/bin/wslinfo")


def dress(box: Box, release: str, version: str) -> None:
    box.write("/root/new", version + "\n")
    box.sh(f"cat /root/new >{VERSION}; echo '{release}' >{RELEASE}")


def wslinfo(box: Box, mode: str) -> None:
    box.write("/usr/bin/wslinfo", f'#!/bin/sh\n[ "$1" = --networking-mode ] && echo {mode}\n', 0o755)


# The kernel's release and /proc/version -> whether the machine is WSL2, where the gate stops on this host.
KERNELS = {
    "a custom kernel": ("6.13.6-WSL2-STABLE+", "Linux version 6.13.6-WSL2-STABLE+ (me@box) (gcc 14) #1 SMP", True),
    "a builder called MICROSOFT-PC": ("5.15-WSL2-xanmod", "Linux version 5.15-WSL2-xanmod (MICROSOFT-PC)", True),
    "a native kernel from such a builder": ("6.12.0", "Linux version 6.12.0 (me@microsoft-pc) (gcc 14) #1 SMP", False),
}


@pytest.mark.slow
@pytest.mark.parametrize(("release", "version", "wsl"), KERNELS.values(), ids=KERNELS.keys())
def test_the_command_and_the_roles_agree_on_a_kernel(box: Box, release: str, version: str, wsl: bool):
    dress(box, release, version)
    done = box.cai("setup", "--dry-run", "--json")
    assert done.document["platform"] == ("wsl2" if wsl else "linux")
    done.expect(1 if wsl else 0)
    assert [gate["verdict"] for gate in done.document["gate"]] == (["conflict"] if wsl else [])


@pytest.mark.slow
def test_a_kernel_of_any_name_is_wsl2_where_wslinfo_is(box: Box):
    dress(box, "6.15.1-xanmod", "Linux version 6.15.1-xanmod (me@box) (gcc 14) #1 SMP")
    wslinfo(box, "mirrored")
    box.cai("setup", "--dry-run").expect(1, "networkingMode mirrored", "networkingMode=nat", "would stop at the gate")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["virtioproxy", "consomme"])
def test_a_fallback_from_nat_is_not_told_to_set_nat(box: Box, mode: str):
    wslinfo(box, mode)
    done = box.cai("setup").expect(1, "╚", f"networkingMode {mode}", "why Windows could not make the NAT network")
    assert "networkingMode=nat" not in done.text
    assert "wsl --shutdown" in box.health()["seccomp"]["hint"]


DERIVATIVES = {
    "mint": ("noble", 'ID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME="Linux Mint 22"\nVERSION_ID="22"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'),
    "kali": ("trixie", 'ID=kali\nID_LIKE=debian\nPRETTY_NAME="Kali GNU/Linux Rolling"\nVERSION_ID="2026.3"\nVERSION_CODENAME=kali-rolling\n'),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_derivative_is_set_up_and_taken_back(hosts, name: str):
    """The packages are those of the base: a host of it that says it is the derivative."""
    suite, text = DERIVATIVES[name]
    box: Box = hosts(name, suite=suite, dress="linux")
    box.sh("rm /etc/os-release")
    box.write("/etc/os-release", text)
    done = box.setup()
    assert "is not tested; it is treated as" in done.text
    box.converged()
    assert "not tested; treated as" in box.health()["platform"]["found"]
    assert all(finding["status"] != "fail" for finding in box.health().values())
    assert box.isolated()
    box.cai("uninstall", "--yes").expect(0)
    assert not box.ok("systemctl cat containai-docker.service")
