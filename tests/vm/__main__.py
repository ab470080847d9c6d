"""`python3 -m tests.vm`: the real-VM scenario. Says what was not run, and why, where something cannot be had."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

from tests.hosts import paths
from tests.hosts.doubles import sysbox_deb
from tests.hosts.shell import HostError, apt_install, say

from . import accelerator, guest, limactl, scenario
from .user import temporary

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
    "docker": "docker.io",
    "mmdebstrap": "mmdebstrap",
}


def missing() -> str:
    """Why the scenario cannot run here, "" when it can."""
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        return "the guest image is made for Linux on x86_64"
    packages = [package for program, package in NEEDED.items() if not shutil.which(program)]
    try:
        if packages:
            apt_install(*packages, "seabios")
        limactl.ensure()
        guest.build()
    except HostError as error:
        return str(error)
    return ""


def sysbox() -> dict[str, object]:
    """Settings of the Sysbox package: a double, or what SYSBOX_DEB names (a path; then its sha256 is taken from it)."""
    given = os.environ.get("SYSBOX_DEB")
    package = Path(given) if given else sysbox_deb.build(paths.CACHE / "vm" / "debs")
    say(
        f"Sysbox: {'the package ' + given if given else 'a DOUBLE of the package (its runtime maps user ids; no nested Docker)'}"
    )
    return {"sysbox_deb": str(package), "sysbox_sha256": {"amd64": hashlib.sha256(package.read_bytes()).hexdigest()}}


def settings() -> dict[str, object]:
    """The small VM of the tests."""
    return {
        "lima_vm_images": guest.build().images(),
        "lima_vm_cpus": 2,
        "lima_vm_memory": "2GiB",
        "lima_vm_disk": "8GiB",
        "lima_vm_min_free_disk_gib": 4,
        "lima_vm_home_mount": "none",  # Debian's cloud kernel has no 9p
        "lima_vm_extra_config": {"firmware": {"legacyBIOS": True}},
        "docker_engine_source": "distro",
        **sysbox(),
    }


def main() -> int:
    reason = missing()
    if reason:
        say(f"not run: the real-VM scenario ({reason})")
        return 0
    start = time.monotonic()
    with temporary() as user:
        if user.run(["test", "-r", paths.ROOT / "ansible.cfg"]).returncode != 0:
            say(
                f"not run: the real-VM scenario ({paths.ROOT} is not readable for ordinary users, and limactl refuses root)"
            )
            return 0
        able = dataclasses.replace(user, env=accelerator.environment(user, guest.build().kernel))
        scene = scenario.Scenario(able, limactl.ensure(), settings())
        try:
            scenario.steps(scene)
        except HostError as error:
            say(f"FAILED after {time.monotonic() - start:.0f} s: {error}")
            return 1
        finally:
            scenario.ended(scene, lambda: able.run([scene.limactl, "delete", "-f", scenario.NAME], timeout=120))
    say(f"the real-VM scenario passed in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
