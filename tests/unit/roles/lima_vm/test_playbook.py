"""`cai setup` on a Mac made of stand-ins: the whole dry run with nothing installed, and each failure's exit code and words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROLE, STANDINS

pytestmark = pytest.mark.ansible

REPOSITORY = ROLE.parents[1]
# What the system of a Mac has anyway; neither docker nor brew nor limactl.
TOOLS = "bash cat chmod cp dirname echo env grep head id ls mkdir mv ps rm sed sh sleep stat test tr whoami"
# `cai` asks the kernel for its name; the modules ask the program `uname`, a stand-in.
DRIVER = """
import os, sys
real = os.uname
os.uname = lambda: os.uname_result(("Darwin", *real()[1:]))
sys.argv[0] = "cai"
from cai.__main__ import main
raise SystemExit(main())
"""


class Mac:
    """A PATH and an empty home."""

    def __init__(self, root: Path) -> None:
        self.bin, self.home = root / "bin", root / "home"
        self.bin.mkdir()
        self.home.mkdir()
        self.driver = root / "driver.py"
        self.driver.write_text(DRIVER)
        self.be()
        for name in TOOLS.split():
            (self.bin / name).symlink_to(shutil.which(name) or f"/bin/{name}")
        self.settings: dict[str, str] = {}

    def be(self, **what: str) -> None:
        """Become a Mac with these properties of the stand-in; `cai` hands no such variables down."""
        text = (
            (STANDINS / "mac")
            .read_text()
            .replace("\n", "\n" + "".join(f"{key}={value}\n" for key, value in what.items()), 1)
        )
        for name in ("uname", "sw_vers", "sysctl"):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def have(self, *names: str) -> None:
        """Install these stand-ins."""
        (self.bin / "python3").symlink_to("/usr/bin/python3")
        for name in names:
            shutil.copy(STANDINS / name, self.bin / name)

    def lima(self, **settings: str) -> None:
        (self.home / ".lima").mkdir()
        (self.home / ".lima/_standin.json").write_text(json.dumps(settings))

    def cai(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "HOME": str(self.home),
            "PATH": str(self.bin),
            "PYTHONPATH": str(REPOSITORY),
            "LANG": "C.UTF-8",
            **self.settings,
        }
        # Root is refused; in a user namespace it is somebody else who may still read what is root's.
        somebody = (
            [str(shutil.which("unshare")), "--user", "--map-user=65534", "--map-group=65534"]
            if os.geteuid() == 0
            else []
        )
        command = [*somebody, sys.executable, str(self.driver), *words]
        return subprocess.run(
            command,
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def created(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))


@pytest.fixture
def mac() -> Iterator[Mac]:
    if (
        os.geteuid() == 0
        and subprocess.run(
            ["unshare", "--user", "--map-user=65534", "true"], capture_output=True, check=False
        ).returncode
        != 0
    ):
        pytest.skip("root without user namespaces cannot be an ordinary user here")
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as root:
        Path(root).chmod(0o755)
        yield Mac(Path(root))


@pytest.mark.parametrize("arch", ["arm64", "x86_64"])
def test_the_dry_run_with_nothing_installed_tells_the_whole_plan_and_makes_nothing(mac: Mac, arch: str) -> None:
    mac.be(MAC_ARCH=arch)
    done = mac.cai("setup", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "install  lima (Homebrew)",
        "install  docker (Homebrew)",
        "create   Lima VM containai-secure",
        "start    Lima VM containai-secure",
        "install  Docker in the VM",
        "install  Sysbox 0.7.1 in the VM",
        "runtimes.sysbox-runc",
        "start    docker.service in the VM",
        "create   docker context containai-secure",
        f"unix://{mac.home}/.lima/containai-secure/sock/docker.sock",
        '+minimumLimaVersion: "2.0.0"',
    ):
        assert line in done.stdout
    assert "brew.sh" in done.stdout + done.stderr
    assert ("/opt/homebrew/bin/brew" if arch == "arm64" else "/usr/local/bin/brew") in done.stdout + done.stderr
    assert mac.created() == []


def test_the_health_report_and_the_removal_of_nothing(mac: Mac) -> None:
    done = mac.cai("doctor")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    for line in (
        "missing: lima, docker",
        "Homebrew is missing",
        "there is no Lima VM containai-secure",
        "docker context",
    ):
        assert line in said
    assert "undefined" not in said
    done = mac.cai("uninstall", "--dry-run", "--purge")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to remove" in done.stdout
    assert "rew" not in done.stdout + done.stderr


def refused(mac: Mac, code: int, *texts: str, words: tuple[str, ...] = ()) -> None:
    done = mac.cai("setup", *words)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    for text in texts:
        assert text in said
    assert "Traceback" not in said


def test_homebrew_missing(mac: Mac) -> None:
    refused(mac, 3, "Homebrew is missing", "brew.sh")


def test_macos_12(mac: Mac) -> None:
    mac.be(MAC_VERSION="12.7.1")
    refused(mac, 3, "macOS 12.7.1 is too old; 13.5 or newer is needed", "softwareupdate")


def test_lima_1(mac: Mac) -> None:
    mac.have("limactl", "docker")
    mac.lima(version="1.2.1")
    refused(mac, 3, "Lima 1.2.1 is too old; 2.0.0 or newer is needed", "upgrade lima")


def test_a_long_home_path(mac: Mac) -> None:
    mac.settings["LIMA_HOME"] = f"{mac.home}/{'x' * 80}"
    refused(mac, 3, "is too long", "export LIMA_HOME=")


def test_a_full_disk(mac: Mac) -> None:
    mac.have("limactl", "docker")
    refused(mac, 3, "are free for", "needs 9999999 GiB", "make room", words=("-e", "lima_vm_min_free_disk_gib=9999999"))


def test_a_failed_download(mac: Mac) -> None:
    mac.have("limactl", "docker")
    mac.lima(create="download")
    refused(mac, 1, "got 404", "lima_vm_image_base_url", words=("-e", "lima_vm_min_free_disk_gib=0"))


@pytest.mark.parametrize("fault", ["probe", "timeout"])
def test_a_start_that_fails(mac: Mac, fault: str) -> None:
    mac.have("limactl", "docker")
    mac.lima(start=fault)
    refused(
        mac,
        1,
        "did not start (and is stopped now)",
        "the guest's last words",
        "serial.log",
        words=("-e", "lima_vm_min_free_disk_gib=0"),
    )
