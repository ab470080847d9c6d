"""Root file systems of the test hosts: made by mmdebstrap, kept as a zstd tar named after the recipe's hash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import aptsources, engine, paths
from .shell import HostError, apt_install, run, say

SUITES = ("bookworm", "trixie", "jammy", "noble", "resolute")
_PACKAGES = (
    "systemd systemd-sysv libpam-systemd dbus python3 python3-venv sudo iproute2 ca-certificates procps"
    " iptables nftables curl socat passwd kmod util-linux mount"
)
# Ubuntu does not count apt among the required packages.
_UBUNTU = " apt ubuntu-keyring"
_EXTRA = {"bookworm": "", "trixie": "", "jammy": _UBUNTU, "noble": _UBUNTU, "resolute": _UBUNTU}
# Downloaded into the image's apt archive, not installed: what setup will ask apt for.
_LATER = {
    "bookworm": "docker.io jq fuse3 rsync lsb-release",
    "trixie": "docker.io docker-cli jq fuse3 rsync lsb-release",
    "jammy": "docker.io jq fuse3 rsync lsb-release",
    "noble": "docker.io jq fuse3 rsync lsb-release",
    "resolute": "docker.io jq fuse3 rsync lsb-release",
}
_LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# $1 is the new root. `dev` is the ordinary developer, `ops` has no sudo rights.
_FINISH = r"""set -eu
root=$1
printf 'cai-host\n' >"$root/etc/hostname"
printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"
: >"$root/etc/machine-id"
chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash --groups sudo dev
chroot "$root" useradd --create-home --uid 1001 --shell /bin/bash ops
printf 'dev:dev\nops:ops\n' | chroot "$root" chpasswd
chroot "$root" update-ca-certificates >/dev/null
# What a distribution does at its own hours (at midnight, some time after six) may not fall into a test.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim systemd-tmpfiles-clean; do
    ln -s /dev/null "$root/etc/systemd/system/$timer.timer"
done
"""


_BASES = {
    "bookworm": "debian:bookworm",
    "trixie": "debian:trixie",
    "jammy": "ubuntu:22.04",
    "noble": "ubuntu:24.04",
    "resolute": "ubuntu:26.04",
}


def _bootstraps(suite: str) -> bool:
    """Whether this machine can make the image from its own apt sources; a laptop starts from a registry's image."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    try:
        return bool(aptsources.sources(suite))
    except HostError:
        return False


def _dockerfile(suite: str) -> str:
    """The same contents, on top of the distribution's image from a registry."""
    install = "apt-get install -y --no-install-recommends"
    excluded = " ".join(f"path-exclude={pattern}" for pattern in _LEAVE_OUT)
    return f"""FROM {_BASES[suite]}
ENV DEBIAN_FRONTEND=noninteractive
RUN rm -f /etc/apt/apt.conf.d/docker-clean /usr/sbin/policy-rc.d && userdel -r ubuntu 2>/dev/null; \\
    printf '%s\\n' {excluded} >/etc/dpkg/dpkg.cfg.d/test-host && \\
    apt-get update && {install} {_PACKAGES + _EXTRA[suite]} && {install} --download-only {_LATER[suite]}
RUN sh -s / <<'FINISH'
{_FINISH}FINISH
"""


def _pull(suite: str, image: str) -> str:
    say(f"building the {suite} host image on {_BASES[suite]}")
    engine.docker("build", "--tag", image, "-", stdin=_dockerfile(suite), timeout=900)
    return image


def _recipe(suite: str) -> str:
    if not _bootstraps(suite):
        return hashlib.sha256(_dockerfile(suite).encode()).hexdigest()[:12]
    texts = [
        suite,
        _PACKAGES + _EXTRA[suite],
        _LATER[suite],
        _FINISH,
        *_LEAVE_OUT,
        aptsources.deb822(suite),
        aptsources.acquire_options(),
    ]
    texts += [path.read_text() for path in aptsources.extra_certificates()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def name(suite: str) -> str:
    """The image's name in the engine."""
    return f"cai-host:{suite}-{_recipe(suite)}"


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """One builder at a time; the others wait and find the result."""
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    with (paths.IMAGES / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _command(suite: str, work: Path, out: Path) -> list[str]:
    """mmdebstrap's arguments; `work` holds the files that they name."""
    sources, conf, finish = work / "test-host.sources", work / "99test-host", work / "finish.sh"
    sources.write_text(aptsources.deb822(suite))
    conf.write_text(aptsources.acquire_options() + 'Acquire::Languages "none";\nAcquire::Retries "3";\n')
    finish.write_text(_FINISH)
    include = ",".join((_PACKAGES + _EXTRA[suite]).split())
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=cleanup/apt", f"--include={include}"]
    if aptsources.family(suite) == "ubuntu":
        words.append(f"--keyring={aptsources.keyring(suite)}")
    words += [f"--aptopt={conf}", '--aptopt=APT::Install-Recommends "false"']
    words += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT]
    certificates = aptsources.extra_certificates()
    if certificates:
        words.append("--customize-hook=mkdir -p $1/usr/local/share/ca-certificates")
        words.append(f"--customize-hook=cp {' '.join(map(str, certificates))} $1/usr/local/share/ca-certificates/")
    words.append(f"--customize-hook=sh {finish} $1")
    words.append(
        f"--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --download-only -y {_LATER[suite]} >&2"
    )
    return [*words, suite, str(out), str(sources)]


def build(suite: str) -> Path:
    """The rootfs tar of a suite; made when it is not in the cache."""
    target = paths.IMAGES / f"{suite}-{_recipe(suite)}.tar.zst"
    if target.exists():
        return target
    with alone(suite):
        if target.exists():
            return target
        if os.geteuid() != 0:
            raise HostError("building a host image needs root\n hint: run this as root once; the image is then cached")
        missing = [package for package in ("mmdebstrap", "zstd") if not shutil.which(package)]
        if missing:
            apt_install(*missing)
        if not aptsources.keyring(suite).exists():
            raise HostError(f"no {aptsources.keyring(suite)} on this machine: {suite}'s signatures cannot be checked")
        start = time.monotonic()
        say(f"building the {suite} host image (about a minute)")
        with tempfile.TemporaryDirectory(dir=paths.IMAGES) as work:
            out = Path(work) / "root.tar.zst"
            private = ["unshare", "--mount", "--propagation", "private"]
            run([*private, *_command(suite, Path(work), out)], timeout=900)
            out.rename(target)
        size = target.stat().st_size / 1e6
        say(f"built {target.name}: {size:.0f} MB in {time.monotonic() - start:.0f} s")
    return target


def ensure(suite: str) -> str:
    """Build and load the image where needed; returns its name in the engine."""
    image = name(suite)
    if engine.docker("images", "-q", image):
        return image
    if not _bootstraps(suite):
        return _pull(suite, image)
    archive = build(suite)
    with alone(f"{suite}-load"):
        if engine.docker("images", "-q", image):
            return image
        host = engine.docker_host()
        docker = ["docker", *(["-H", host] if host else [])]
        with subprocess.Popen(["zstd", "-dcq", str(archive)], stdout=subprocess.PIPE) as unpack:
            load = subprocess.run(
                [*docker, "import", "-c", 'CMD ["/init.sh"]', "-", image],
                stdin=unpack.stdout,
                capture_output=True,
                text=True,
                check=False,
            )
        if unpack.returncode != 0 or load.returncode != 0:
            raise HostError(f"cannot load {archive.name} into the engine: {load.stderr.strip()}")
    return image
