"""Tell which Ubuntu or Debian a system is, or is built on."""

from __future__ import annotations

import re

# Version of each release by codename. Ubuntu's releases between two LTS are here too, since a derivative may be built on one.
RELEASES = {
    "ubuntu": {
        "bionic": "18.04", "focal": "20.04", "jammy": "22.04", "kinetic": "22.10", "lunar": "23.04", "mantic": "23.10",
        "noble": "24.04", "oracular": "24.10", "plucky": "25.04", "questing": "25.10", "resolute": "26.04",
    },
    "debian": {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13"},
}  # fmt: skip


def os_release(text):
    """Return the pairs of /etc/os-release."""
    return dict(re.findall(r"^([A-Z_]+)=[\"']?([^\"'\n]*)[\"']?$", text, re.MULTILINE))


def debian_codename(debian_version):
    """Return the codename in /etc/debian_version, which holds "12.5", or "trixie/sid" before that release. Empty if it is neither."""
    text = debian_version.strip()
    number = text.partition(".")[0]
    return text[:-4] if text.endswith("/sid") else next((name for name, version in RELEASES["debian"].items() if version == number), "")


def candidates(release, debian_version):
    """Yield (distribution, codename) that a derivative may be built on, the surest first."""
    alike, codename = release.get("ID_LIKE", "").split(), release.get("VERSION_CODENAME", "")
    # Mint, Pop!_OS, Zorin, elementary and KDE neon name Ubuntu's release in a key of its own.
    yield "ubuntu", release.get("UBUNTU_CODENAME", "")
    if "ubuntu" in alike:
        yield "ubuntu", codename
    elif "debian" in alike and not release.get("UBUNTU_CODENAME"):
        # LMDE names it; Raspberry Pi OS has Debian's own codename; many have only Debian's number.
        yield from (("debian", name) for name in (release.get("DEBIAN_CODENAME", ""), codename, debian_codename(debian_version)))
        if release.get("ID") == "kali":  # Debian testing, for which Docker has no repository; Kali's documentation takes the newest stable's
            yield "debian", list(RELEASES["debian"])[-1]


def base_of(release, supported, debian_version=""):
    """Return {distribution, version, codename, derivative}; None if no known release of a supported distribution is the base.

    derivative is the system's own name, empty for Ubuntu and Debian themselves.
    """
    identity = release.get("ID", "")
    if identity in supported:
        return {"distribution": identity, "version": release.get("VERSION_ID", ""), "codename": release.get("VERSION_CODENAME", ""), "derivative": ""}
    for distribution, codename in candidates(release, debian_version):
        version = RELEASES[distribution].get(codename)
        if version and distribution in supported:
            name = release.get("PRETTY_NAME") or release.get("NAME") or identity
            return {"distribution": distribution, "version": version, "codename": codename, "derivative": name}
    return None
