"""Remove the packages, users and groups that setup installed, except those that something else needs now."""

from __future__ import annotations

import contextlib
import os

from ansible.module_utils.containai import apt, apt_plan
from ansible.module_utils.containai.apt import run
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_in_use import InUse
from ansible.module_utils.containai_package_list import packages
from ansible.module_utils.containai_service_masks import masked

SYSBOX = "sysbox-ce"  # removed by a role of its own, which comes first
# Packages of Docker's own repository: while one stays, so do the repository and its key.
OF_REPOSITORY = {"docker-ce", "docker-ce-cli", "containerd.io"}

# Debian's docker.io, when purged, empties /var/lib/docker and unmounts whatever begins with that path: our data root, and all of a Docker that somebody
# has begun to use since. So the purge sees an empty folder there, in a mount namespace of its own.
SHELTER = '[ ! -d "$0" ] || mount -t tmpfs -o size=1m,mode=711 none "$0"; exec "$@"'
SHELTERED = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", SHELTER, "/var/lib/docker")


def sheltered(argv):
    return run([*SHELTERED, *argv])


ETC = "/etc"


@contextlib.contextmanager
def others_folders(run):
    """Keep the folders of other packages: a postrm removes empty ones that it shares with them (dh_apparmor: /etc/apparmor.d/disable)."""
    before = {path: os.stat(path) for path, _, _ in os.walk(ETC)}
    yield
    for path in sorted(path for path in before if not os.path.lexists(path)):
        if run(["dpkg-query", "--search", path]).returncode == 0:
            os.mkdir(path)
            os.chown(path, before[path].st_uid, before[path].st_gid)
            os.chmod(path, before[path].st_mode & 0o7777)


def reload():
    run(["systemctl", "daemon-reload"])


class InstalledBySetup:
    """What the record says that package managers brought. `did` takes (verb, what), `notes` what stays and why."""

    def __init__(self, record, did, notes, dry, wait):
        self.record, self.did, self.notes, self.dry, self.wait = record, did, notes, dry, wait
        self.use, self.kept = None, set()

    def remove(self):
        """Of a setup that was cut off in the middle of apt as well: the record says what was there before it."""
        cut_off = self.record.data.get("installing", {})
        with masked([] if self.dry else cut_off.get("docker", {}).get("quiet", []), reload):
            if (cut_off or self.record.data.get("packages")) and not self.dry:
                # What a killed run has left, or is still doing, is in dpkg's journal alone, and apt would plan with what was there before.
                apt.quiet(self.wait)
                run(["dpkg", "--configure", "-a"])  # without anything to mend it does nothing
            self.use = InUse()  # a service that a cut-off setup left enabled is masked here, and not in use
            self.record.count_cut_off()
            self.remove_packages()
        self.remove_accounts()

    @property
    def folders(self):
        """The folders that stay with packages that do. A Docker that was there before setup had its own before as well."""
        return self.use.folders if self.kept & self.use.packages else ()

    def remove_packages(self):
        present = set(run(["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())
        brought = set(self.record.data.get("packages", [])) & present - {SYSBOX}
        ours = sorted(brought - self.use.packages)
        if brought & self.use.packages:
            self.notes.append(f"{', '.join(self.use.units)} is in use by now, so its packages, its folders and its group stay.")
        ours = self.without_needed(ours)
        self.kept = brought - set(ours)
        if ours:
            self.did("remove", f"packages: {' '.join(ours)}")
        if ours and not self.dry:
            self.purge(ours)
        self.remove_diversions()
        installed = packages(brought=())  # of a removed package dpkg keeps a row as long as its settings are there
        gone = [name for name in self.record.data.get("removed", []) if name not in installed]
        if gone:
            self.notes.append(f"{', '.join(gone)} made room for Docker's packages, as you allowed: `sudo apt-get install {' '.join(gone)}` brings it back.")

    def without_needed(self, ours):
        """Return those of the packages with which no others go."""
        gone_by_then = [SYSBOX] if self.dry and SYSBOX in self.record.data.get("packages", []) else []
        while ours:
            # Of a package whose installation was cut off apt may say nothing; it is made whole before it is removed.
            others = sorted(apt_plan.purged_with(run, [*ours, *gone_by_then]))
            if not others:
                break
            needed = [name for name in ours if set(others) & apt_plan.purged_with(run, [name])]
            self.notes.append(f"{', '.join(needed or ours)} stays: {', '.join(others)} needs it by now.")
            ours = [name for name in ours if name not in needed] if needed else []
        return ours

    def purge(self, ours):
        apt.unpack_anew(sheltered, ours)
        others = sorted(apt_plan.purged_with(run, ours))
        if others:
            raise Failure(f"apt would remove {', '.join(others)} with {' '.join(ours)}.", "run `sudo dpkg --configure -a`, then `cai uninstall` again")
        options = ["-o", f"DPkg::Lock::Timeout={self.wait}", *apt_plan.OPTIONS]
        with others_folders(run):
            result = sheltered(["apt-get", "-qq", *options, "purge", "--yes", *ours])
        if result.returncode != 0:
            lines = "\n".join(result.stderr.strip().splitlines()[-4:])
            held = apt.holder()
            hint = apt.hint(held, lines) if held else "run `sudo dpkg --configure -a`, then `cai uninstall` again"
            raise Failure(f"apt could not remove {' '.join(ours)}{held}:\n{lines}", hint)

    def remove_diversions(self):
        """Remove a diversion whose package is gone. While it stays, the diversion keeps the docker program that no package owns."""
        for diverted in self.record.data.get("diversions", []):
            if not self.dry and not os.path.lexists(diverted):
                run(["dpkg-divert", "--local", "--no-rename", "--divert", diverted, "--remove", "/usr/bin/docker"])

    @property
    def keeps_repository(self):
        """Whether a package of Docker's repository stays."""
        return bool(self.kept & OF_REPOSITORY)

    def remove_accounts(self):
        for group, user in self.record.data.get("members", []):
            self.did("change", f"group {group}: take out {user}")
            if not self.dry:
                run(["gpasswd", "--delete", user, group])
        for user in self.record.data.get("users", []):
            if run(["getent", "passwd", user]).returncode == 0:
                self.did("remove", f"user {user}")
                if not self.dry:
                    run(["userdel", user])
        for group in sorted(set(self.record.data.get("groups", [])) - self.use.groups):
            if group in self.record.data.get("users", []) and self.dry:
                continue  # goes with its user
            if run(["getent", "group", group]).returncode == 0:
                self.did("remove", f"group {group}")
                if not self.dry:
                    run(["groupdel", group])
