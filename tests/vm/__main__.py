"""`python3 -m tests.vm`: the real-VM scenario. Says what was not run, and why, where something cannot be had."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.hosts import paths
from tests.hosts.doubles import sysbox_deb
from tests.hosts.shell import HostError, apt_install, run, say

from . import accelerator, desktop, guest, installed, limactl, reach, refusals, scenario, story
from .user import User, temporary

NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
    "docker": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "ps": "procps",
}

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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


def sysbox(room: Path) -> dict[str, object]:
    """Settings of the Sysbox package: a double, or what SYSBOX_DEB names (a path; then its sha256 is taken from it)."""
    given = os.environ.get("SYSBOX_DEB")
    what = f"the package {given}" if given else "a DOUBLE of the package (its runtime maps user ids; no nested Docker)"
    say(f"Sysbox: {what}")
    package = Path(given) if given else sysbox_deb.build(paths.CACHE / "vm" / "debs")
    package = reach.within_reach(package.resolve(), room)
    return {"sysbox_deb": str(package), "sysbox_sha256": {"amd64": hashlib.sha256(package.read_bytes()).hexdigest()}}


def settings(image: guest.Guest, url: str, room: Path) -> dict[str, object]:
    """The small VM of the tests. Its disk is fetched, as a Mac's is; the kernel is a local file."""
    local = guest.Guest(image.disk, *(reach.within_reach(path, room) for path in (image.kernel, image.initrd)))
    return {
        "lima_vm_images": local.images(url),
        # One: a kernel that patches its own code while another emulated processor runs it was seen to die of that.
        "lima_vm_cpus": 1,
        "lima_vm_memory": "2GiB",
        "lima_vm_disk": "8GiB",
        "lima_vm_min_free_disk_gib": 4,
        "lima_vm_home_mount": "none",  # Debian's cloud kernel has no 9p
        "lima_vm_extra_config": {"firmware": {"legacyBIOS": True}},
        "docker_engine_source": "distro",
        **sysbox(room),
    }


def scene(user: User, room: Path, url: str) -> scenario.Scenario:
    """What the user of the scenario has on his machine: limactl, `cai`, settings, and Docker Desktop's."""
    image, program = guest.build(), limactl.within_reach(limactl.ensure(), room)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        **accelerator.environment(user, image.kernel, room),
    }
    able = dataclasses.replace(user, env=environment)
    made = scenario.Scenario(able, installed.python(able, room), settings(image, url, room))
    desktop.furnish(user.home)
    if os.geteuid() == 0:
        run(["chown", "-R", user.name, user.home / ".docker", user.home / ".config"])
    return made


def _ended(number: int, _frame: object) -> None:
    """A cancelled run takes its VM and its user along. Once is enough; what cleans up is not to be cut off."""
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def on_endings() -> None:
    """Turn what ends a run into an exit with its cleaning up; SIGINT too, which a shell ignores for what it puts into the background."""
    for number in ENDINGS:
        signal.signal(number, _ended)


def main() -> int:
    """Exit code 0 also where the scenario cannot run here, with the reason."""
    on_endings()
    start = time.monotonic()
    reason = missing()
    if reason:
        say(f"not run: the real-VM scenario ({reason})")
        return 0
    say(f"limactl, QEMU and the guest image are there after {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    try:
        with temporary() as user, refusals.mirror() as server:
            room = user.home / "room"
            room.mkdir()
            made = scene(user, room, server.url)
            try:
                story.tell(made, server, guest.build().disk)
            finally:
                made.ended()
    except HostError as error:
        say(f"FAILED after {time.monotonic() - start:.0f} s: {error}")
        return 1
    say(f"the real-VM scenario passed in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
