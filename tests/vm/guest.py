"""The guest image: a small Debian that boots its kernel directly, with Docker's package in it; kept under its recipe's hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import aptsources, paths
from tests.hosts.shell import HostError, apt_install, run, say

SUITE = "trixie"
SIZE = "3G"
# With what Lima's first boot would otherwise install, and what setup would take minutes for under emulation. Without libnss-myhostname each sudo asks the
# network for the host's own name, six seconds long.
_PACKAGES = (
    "linux-image-cloud-amd64 busybox-static cpio zstd systemd-sysv dbus e2fsprogs openssh-server libnss-myhostname sudo python3 iptables nftables rsync kmod iproute2"
    " ca-certificates procps hostname docker.io docker-cli jq fuse3 lsb-release acpid"
)
_BUILDERS = {"mmdebstrap": "mmdebstrap", "qemu-utils": "qemu-img", "e2fsprogs": "mkfs.ext4", "xz-utils": "xz"}
_LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_FILES = Path(__file__).resolve().parent / "files"
# What the hardening of a kernel costs is paid tenfold under emulation, where nobody attacks it.
_CMDLINE = (
    "root=/dev/vda rw console=ttyS0 quiet panic=5 nowatchdog tsc=reliable no5lvl audit=0 lsm= mitigations=off init_on_alloc=0"
    " randomize_kstack_offset=off hardened_usercopy=off rcupdate.rcu_expedited=1"
)


@dataclass(frozen=True)
class Guest:
    """The files of one image."""

    disk: Path
    kernel: Path
    initrd: Path

    def images(self, url: str) -> list[dict[str, object]]:
        """The value of `lima_vm_images`, with the disk at this address."""
        with self.disk.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        kernel = {"location": str(self.kernel), "cmdline": _CMDLINE}
        initrd = {"location": str(self.initrd)}
        disk = {"location": url, "arch": "x86_64", "digest": f"sha256:{digest}"}
        return [{**disk, "kernel": kernel, "initrd": initrd}]


def _recipe() -> str:
    texts = [
        SUITE,
        SIZE,
        _PACKAGES,
        *_LEAVE_OUT,
        *(path.read_text() for path in sorted(_FILES.iterdir())),
        aptsources.deb822(SUITE),
        aptsources.acquire_options(),
    ]
    texts += [path.read_text() for path in aptsources.extra_certificates()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _command(work: Path, root: Path) -> list[str]:
    sources, conf = work / "guest.sources", work / "99guest"
    sources.write_text(aptsources.deb822(SUITE))
    conf.write_text(aptsources.acquire_options() + 'Acquire::Languages "none";\nAcquire::Retries "3";\n')
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES.split())}"]
    words += [f"--aptopt={conf}", '--aptopt=APT::Install-Recommends "false"']
    words += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT]
    certificates = aptsources.extra_certificates()
    if certificates:
        words.append("--customize-hook=mkdir -p $1/usr/local/share/ca-certificates")
        words.append(f"--customize-hook=cp {' '.join(map(str, certificates))} $1/usr/local/share/ca-certificates/")
    return [*words, f"--customize-hook=sh {_FILES}/finish.sh $1 {_FILES}", SUITE, str(root), str(sources)]


def build() -> Guest:
    """The image; made when it is not in the cache."""
    folder = paths.IMAGES / f"vm-{SUITE}-{_recipe()}"
    guest = Guest(folder / "guest.qcow2", folder / "vmlinux", folder / "initrd.img")
    if folder.exists():
        return guest
    if os.geteuid() != 0:
        raise HostError("building the guest image needs root\n hint: run this as root once; the image is then cached")
    missing = [package for package, program in _BUILDERS.items() if not shutil.which(program)]
    if missing:
        apt_install(*missing)
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say("building the VM's guest image (about two minutes)")
    with tempfile.TemporaryDirectory(dir=paths.IMAGES) as scratch:
        work = Path(scratch)
        work.chmod(0o755)
        root, out = work / "root", work / "out"
        out.mkdir()
        run(["unshare", "--mount", "--propagation", "private", *_command(work, root)], timeout=1200)
        for name in ("vmlinux", "initrd.img"):
            shutil.move(root / "boot" / name, out / name)
        run(["mkfs.ext4", "-q", "-L", "cloudimg-rootfs", "-d", root, work / "disk.raw", SIZE], timeout=300)
        run(["qemu-img", "convert", "-O", "qcow2", work / "disk.raw", out / "guest.qcow2"], timeout=300)
        for path in out.iterdir():
            path.chmod(0o644)
        out.chmod(0o755)
        out.rename(folder)
    say(f"built {folder.name}: {guest.disk.stat().st_size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")
    return guest
