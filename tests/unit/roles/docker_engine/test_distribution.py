"""A derivative is taken for the Ubuntu or Debian that it is built on, and Docker's repository with it; without a known base it is refused."""

from __future__ import annotations

import pytest

from tests.unit.roles.conftest import utilities

distribution = next(module for module in utilities() if module.__name__.endswith("containai_distribution"))
SUPPORTED = {"ubuntu": "22.04", "debian": "12"}
# The lines of /etc/os-release that matter, /etc/debian_version -> distribution, version, codename.
KNOWN = {
    "Linux Mint": ('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22.1"\nVERSION_CODENAME=xia\nUBUNTU_CODENAME=noble', "trixie/sid", ("ubuntu", "24.04", "noble")),
    "Pop!_OS": ('ID=pop\nID_LIKE="ubuntu debian"\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy', "bookworm/sid", ("ubuntu", "22.04", "jammy")),
    "a Pop!_OS that names only its codename": ('ID=pop\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=resolute', "", ("ubuntu", "26.04", "resolute")),
    "KDE neon": ("ID=neon\nID_LIKE='ubuntu debian'\nUBUNTU_CODENAME=noble", "", ("ubuntu", "24.04", "noble")),
    "LMDE": ("ID=linuxmint\nID_LIKE=debian\nVERSION_ID=6\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm", "12.5", ("debian", "12", "bookworm")),
    "Raspberry Pi OS of 32 bits": ('ID=raspbian\nID_LIKE=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm', "12.5", ("debian", "12", "bookworm")),
    "Kali": ('ID=kali\nID_LIKE=debian\nVERSION_ID="2026.3"\nVERSION_CODENAME=kali-rolling', "kali-rolling", ("debian", "13", "trixie")),
    "Parrot": ("ID=parrot\nID_LIKE=debian\nVERSION_ID=6.1\nVERSION_CODENAME=lory", "12.5", ("debian", "12", "bookworm")),
    "one of Debian testing before its release": ("ID=spin\nID_LIKE=debian\nVERSION_CODENAME=spin", "trixie/sid", ("debian", "13", "trixie")),
    "one that is too old": ("ID=linuxmint\nID_LIKE=ubuntu\nUBUNTU_CODENAME=focal", "", ("ubuntu", "20.04", "focal")),
}  # fmt: skip
UNKNOWN = {
    "Fedora": ("ID=fedora\nVERSION_ID=43", ""),
    "Arch": ("ID=manjaro\nID_LIKE=arch\nVERSION_CODENAME=noble", ""),
    "Ubuntu of no known release": ('ID=pop\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=zesty', "12.5"),
    "Debian testing of no known release": ("ID=siduction\nID_LIKE=debian", "forky/sid"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "debian_version", "base"), KNOWN.values(), ids=KNOWN.keys())
def test_a_known_base(text: str, debian_version: str, base: tuple[str, str, str]) -> None:
    found = distribution.base_of(
        distribution.os_release(f'{text}\nPRETTY_NAME="Its Name"\n'), SUPPORTED, debian_version
    )
    assert tuple(found[key] for key in ("distribution", "version", "codename")) == base
    assert found["derivative"] == "Its Name"


@pytest.mark.parametrize(("text", "debian_version"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_no_known_base(text: str, debian_version: str) -> None:
    assert distribution.base_of(distribution.os_release(text), SUPPORTED, debian_version) is None


def test_a_base_that_is_not_supported_is_none() -> None:
    mint = distribution.os_release("ID=linuxmint\nUBUNTU_CODENAME=noble\n")
    assert distribution.base_of(mint, {"debian": "12"}) is None


@pytest.mark.parametrize(("identity", "version", "codename"), [("ubuntu", "24.04", "noble"), ("debian", "", "forky")])
def test_ubuntu_and_debian_are_themselves(identity: str, version: str, codename: str) -> None:
    release = distribution.os_release(f"ID={identity}\nVERSION_ID={version}\nVERSION_CODENAME={codename}\n")
    assert distribution.base_of(release, SUPPORTED, "forky/sid") == {
        "distribution": identity, "version": version, "codename": codename, "derivative": "",
    }  # fmt: skip
