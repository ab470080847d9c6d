"""Faults of the package manager: apt in use by another, dpkg in pieces."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial

from tests.faults.cycle import Outcome, Row
from tests.faults.ground import Ground
from tests.faults.surroundings import WELL, judged, run
from tests.system.box import quoted

LOCKER = r"""
import fcntl, sys, time
file = open("/var/lib/dpkg/lock-frontend", "a")
fcntl.lockf(file, fcntl.LOCK_EX)
open("/run/locker-holds-it", "w").close()
time.sleep(float(sys.argv[1]))
"""


def apt_locked(kind: str, seconds: int, wait: int | None, ground: Ground) -> Outcome:
    """Run while another process holds apt's lock for some seconds."""
    ground.box.write("/opt/locker.py", LOCKER)
    ground.box.sh(f"systemd-run --quiet --unit=locker --collect python3 -IS /opt/locker.py {seconds}")
    ground.box.sh("for i in $(seq 600); do [ ! -e /run/locker-holds-it ] || exit 0; sleep 0.05; done; exit 1")
    pid = ground.box.sh("systemctl show -p MainPID --value locker")
    done = run(ground, kind, *(quoted(docker_engine_apt_wait=wait) if wait else []))
    return judged(done, (1,), (f"process {pid}",)) if wait else judged(done, WELL)


def apt_free(ground: Ground) -> None:
    """The other process ends."""
    ground.box.sh("systemctl stop locker; rm -f /opt/locker.py /run/locker-holds-it", check=False)


SOMEBODYS = """mkdir -p /opt/theirs/DEBIAN && cd /opt
printf 'Package: theirs\\nVersion: 1\\nArchitecture: all\\nMaintainer: them <them@localhost>\\nDescription: theirs\\n' >theirs/DEBIAN/control
dpkg-deb --build theirs && dpkg --unpack theirs.deb && rm -r theirs theirs.deb"""


def dpkg_interrupted(ground: Ground) -> Outcome:
    """A dpkg that was killed left a package of somebody's half-installed."""
    ground.box.sh(SOMEBODYS)
    outcome = judged(ground.setup(), WELL)
    if ground.box.sh("dpkg-query -W -f '${db:Status-Abbrev}' theirs").strip() != "ii":
        outcome.problems.append("dpkg is still in pieces")
    return outcome


def nothing_of_theirs(ground: Ground) -> None:
    """Their package goes: the host is then as it was."""
    ground.box.sh("dpkg --purge theirs")


JOURNAL = """mv /opt/status /var/lib/dpkg/status
printf 'Package: sysbox-ce\\nStatus: purge ok not-installed\\nPriority: optional\\nSection: admin\\nArchitecture: %s\\n' $(dpkg --print-architecture) \
    >/var/lib/dpkg/updates/0000
dpkg-query -W -f '${db:Status-Status}' sysbox-ce | grep -qx not-installed
apt-get --simulate purge fuse3 | grep -q '^Purg sysbox-ce'"""


def one_of_ours(ground: Ground) -> str:
    """A file that setup makes and uninstall takes away before any package."""
    return next(path for path in sorted(ground.files) if path.startswith("/usr/local/libexec"))


def removal_in_the_journal(ground: Ground) -> Outcome:
    """Uninstall fails after Sysbox is gone; of that, as after a dpkg that was killed, its journal alone knows, which apt does not read."""
    ours = one_of_ours(ground)
    ground.box.sh(f"cp /var/lib/dpkg/status /opt/status; mount --bind {ours} {ours}")
    outcome = judged(run(ground, "uninstall"), (1,), (ours,))
    ground.box.sh(JOURNAL)
    return outcome


HALF_UNPACKED = """cd /var/cache/apt/archives
dpkg --unpack rsync_*.deb >/dev/null 2>&1 & dpkg=$!
until dpkg-query -W -f '${db:Status-Abbrev}' rsync | grep -q R; do kill -0 $dpkg; done
kill -KILL $dpkg
wait $dpkg || true
dpkg-query -W -f '${db:Status-Eflag}' rsync | grep -q reinstreq"""


def half_unpacked(ground: Ground) -> Outcome:
    """dpkg was killed while it unpacked a package that setup brought."""
    ground.box.sh(f"bash -ec {shlex.quote(HALF_UNPACKED)}")
    return judged(run(ground, "uninstall"), WELL)


FORGOTTEN = """cd /var/lib/systemd/deb-systemd-helper-enabled
rm sysbox*.dsh-also multi-user.target.wants/sysbox.service
rm -r sysbox.service.wants"""


def links_forgotten(ground: Ground) -> Outcome:
    """A reboot ended Debian's helper, whose failure nobody looks at, before it wrote which links for the boot are Sysbox's."""
    ground.box.sh(FORGOTTEN)
    return judged(run(ground, "uninstall"), WELL)


def no_mount_point(ground: Ground) -> None:
    """The file can be removed."""
    ground.box.sh(f"umount -l {one_of_ours(ground)}")


def rows() -> Iterator[Row]:
    """Every fault of the package manager."""
    yield Row("setup: apt's lock is held for 5 seconds", partial(apt_locked, "setup", 5, None), mend=apt_free)
    yield Row(
        "setup: apt's lock is held for longer than one waits",
        partial(apt_locked, "setup", 600, 3),
        mend=apt_free,
        short=True,
    )
    yield Row("uninstall: apt's lock is held", partial(apt_locked, "uninstall", 600, 3), "uninstall", apt_free)
    yield Row("setup: a dpkg was killed before", dpkg_interrupted, mend=nothing_of_theirs)
    yield Row("uninstall: a dpkg was killed while it unpacked", half_unpacked, "uninstall", short=True)
    yield Row("uninstall: what dpkg knows of Sysbox's links is lost", links_forgotten, "uninstall")
    yield Row(
        "uninstall: a dpkg was killed as it had removed Sysbox", removal_in_the_journal, "uninstall", no_mount_point, short=True
    )  # fmt: skip
