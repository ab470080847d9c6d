"""Why apt, or a download, failed, and what to type: another process at work, a clock that is wrong, or what they say themselves."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import time

from ansible.module_utils.containai import process

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
# What apt says of a repository, and OpenSSL and GnuTLS of a certificate, whose time is not the host's. WSL2's clock stands still while Windows sleeps.
OUT_OF_TIME = re.compile(r"not (yet valid|valid yet)|(has|is) expired|expired certificate", re.IGNORECASE)


def run(argv, **more):
    """Run apt-get or dpkg, which ask nothing then, through the proxies of this process."""
    unattended = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "HOME": "/root"}
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    return process.run(argv, environment={**unattended, **proxies}, **more)


def holder(locks="/proc/locks"):
    """Say who holds one of apt's locks, such as ", process 4711 (unattended-upgr) holds its lock"; nothing when nobody does.

    apt itself does not say it after having waited.
    """
    wanted = {(found.st_dev, found.st_ino) for found in map(os.stat, filter(os.path.exists, LOCKS))}
    with open(locks, encoding="ascii") as listed:
        # 1: POSIX ADVISORY WRITE 4711 fe:00:1234 0 EOF; where overlayfs is below, its device is not the one that stat tells.
        held = [fields[4] for fields in map(str.split, listed) if fields[1] == "POSIX" and int(fields[5].rpartition(":")[2]) in {inode for _, inode in wanted}]
    for pid in held:
        if pid not in ("0", str(os.getpid())) and wanted & set(_open_files(pid)):
            name = "unknown"
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as handle:
                name = handle.read().strip()
            return f", process {pid} ({name}) holds its lock"
    return ""


def quiet(seconds):
    """Wait until nobody is at work with apt or dpkg, but no longer than that. The child of a run that was killed may still be."""
    end = time.monotonic() + seconds
    while holder() and time.monotonic() < end:
        time.sleep(0.5)


def half_unpacked(run, names):
    """Which of the packages a dpkg that was killed left half unpacked. apt removes none of these, and may refuse everything else because of them."""
    listing = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Eflag}\n", *names]).stdout if names else ""
    return [line.split()[0] for line in listing.splitlines() if line.endswith(" reinstreq")]


def unpack_anew(run, names, archives="/var/cache/apt/archives/{}_*.deb"):
    """Make those whole, so that apt can remove them with all of their files, or, without the archive, take them away as they are."""
    broken = half_unpacked(run, names)
    found = [sorted(glob.glob(archives.format(glob.escape(name))), key=os.path.getmtime) for name in broken]
    newest = [paths[-1] for paths in found if paths]
    if newest:
        run(["dpkg", "--unpack", "--force-depends", *newest])
    left = half_unpacked(run, broken)
    if left:
        run(["dpkg", "--purge", "--force-remove-reinstreq", "--force-depends", *left])


def _open_files(pid):
    """Yield (device, inode) of what the process has open: another file system may have a file of the same number."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{entry}")
                yield found.st_dev, found.st_ino


def clock_hint(said):
    """What to type where the clock may be the reason of what was said; nothing where it is not."""
    if not OUT_OF_TIME.search(said):
        return ""
    now = time.strftime("%F %R UTC", time.gmtime())
    return f"this host's clock says {now}: if that is wrong, set it (WSL2: `sudo hwclock --hctosys`; elsewhere `sudo timedatectl set-ntp true`), then try again"


def hint(held, said):
    """What to type after an apt-get that failed and said that, while `held` (see holder) was true of its lock."""
    if held:
        return f"look at it with `ps -fp {held.split()[2]}`, and try again when it has ended; to wait longer: `-e docker_engine_apt_wait=900`"
    return clock_hint(said) or "run `sudo apt-get update && sudo apt-get --fix-broken install`, then try again"
