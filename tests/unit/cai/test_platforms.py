import pytest

from cai.platforms import Platform, classify, detect

# Real strings: WSL2 from Microsoft's kernel releases, old and new spelling; WSL1 from its emulation.
KERNELS = {
    "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1) (gcc 11.2.0)": Platform.WSL2,
    "Linux version 4.19.84-microsoft-standard (oe-user@oe-host)": Platform.WSL2,
    "Linux version 5.4.0-MICROSOFT-STANDARD (me@box)": Platform.WSL2,
    "Linux version 6.6.36-microsoft-WSL2 (me@box)": Platform.WSL2,
    "Linux version 6.1.21.1-microsoft-custom-WSL2+ (me@box)": Platform.WSL2,
    "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) (gcc 5.4.0)": Platform.WSL1,
    "Linux version 6.1.0-31-amd64 (debian-kernel@lists.debian.org)": Platform.LINUX,
    "Linux version 6.8.0-1021-azure (buildd@lcy02-amd64-098)": Platform.LINUX,
    "": Platform.LINUX,
}


@pytest.mark.parametrize(("text", "platform"), KERNELS.items())
def test_tells_the_kernels_apart(text, platform):
    assert classify("Linux", text) is platform


def test_a_mac_is_a_mac_whatever_proc_says():
    assert classify("Darwin", "microsoft-standard") is Platform.MACOS


@pytest.mark.parametrize("name", ["FreeBSD", "CYGWIN_NT-10.0", ""])
def test_the_rest_is_unsupported(name):
    platform = classify(name, "")
    assert platform is Platform.UNSUPPORTED
    assert not platform.supported


def test_a_missing_proc_version_is_no_error(tmp_path):
    assert isinstance(detect(tmp_path / "absent"), Platform)


def test_only_platforms_with_a_playbook_are_supported():
    assert {p for p in Platform if p.supported} == {Platform.MACOS, Platform.WSL2, Platform.LINUX}
