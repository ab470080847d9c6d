"""Take away the packages, users and groups that setup brought, and none that somebody needs by now."""

from __future__ import annotations

import subprocess

from ansible.module_utils import containai_apt
from ansible.module_utils.containai_masks import masked
from ansible.module_utils.containai_secrets import mask

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSBOX = "sysbox-ce"  # removed by a role of its own, which comes first
DOCKER = {"docker.io", "docker-cli", "docker-ce", "docker-ce-cli", "containerd", "containerd.io", "runc", "tini", "iptables"}

# Debian's docker.io, when purged, empties /var/lib/docker and unmounts whatever begins with that path: our data root, and all of a Docker that somebody
# has begun to use since. So the purge sees an empty folder there, in a mount namespace of its own.
SHELTER = '[ ! -d "$0" ] || mount -t tmpfs -o size=1m,mode=711 none "$0"; exec "$@"'
SHELTERED = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", SHELTER, "/var/lib/docker")


class Failure(Exception):
    """What apt said, and the way out."""

    def __init__(self, message, hint):
        super().__init__(message)
        self.message, self.hint = message, hint


def run(*argv):
    environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False)


def sheltered(argv):
    return run(*SHELTERED, *argv)


def reload():
    run("systemctl", "daemon-reload")


class Brought:
    """What the record says that package managers brought. `did` takes (verb, what), `notes` what stays and why."""

    def __init__(self, record, did, notes, dry, wait):
        self.record, self.did, self.notes, self.dry, self.wait = record, did, notes, dry, wait

    def remove(self):
        """Of a setup that was cut off in the middle of apt as well: the record says what was there before it."""
        cut_off = self.record.data.get("installing", {})
        with masked([] if self.dry else cut_off.get("docker", {}).get("quiet", []), reload):
            if (cut_off or self.record.data.get("packages")) and not self.dry:
                # What a killed run has left, or is still doing, is in dpkg's journal alone, and apt would plan with what was there before.
                containai_apt.quiet(self.wait)
                run("dpkg", "--configure", "-a")  # without anything to mend it does nothing
            self.record.count_cut_off()
            self.remove_packages()
        self.remove_accounts()

    def remove_packages(self):
        present = set(run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split())
        ours = sorted(set(self.record.data.get("packages", [])) & present - {SYSBOX})
        if run("systemctl", "is-enabled", "docker.service").stdout.strip() == "enabled" or run("systemctl", "is-active", "docker.service").returncode == 0:
            if set(ours) & DOCKER:
                self.notes.append("docker.service is in use by now, so Docker's packages stay.")
            ours = [name for name in ours if name not in DOCKER]
        while ours:
            plan = run("apt-get", "--simulate", "purge", *ours).stdout
            going = {line.split()[1].split(":")[0] for line in plan.splitlines() if line.startswith(("Remv ", "Purg "))}
            gone_by_then = {SYSBOX} if self.dry and SYSBOX in self.record.data.get("packages", []) else set()
            others = sorted(going - set(ours) - gone_by_then)
            if not others:
                break
            needed = [name for name in ours if set(others) & self.dependents(name, others)]
            self.notes.append(f"{', '.join(needed or ours)} stays: {', '.join(others)} needs it by now.")
            ours = [name for name in ours if name not in needed] if needed else []
        if ours:
            self.did("remove", f"packages: {' '.join(ours)}")
        if ours and not self.dry:
            containai_apt.unpack_anew(sheltered, ours)
            result = sheltered(["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={self.wait}", "purge", "--yes", *ours])
            if result.returncode != 0:
                lines = mask("\n".join(result.stderr.strip().splitlines()[-4:]))
                held = containai_apt.holder()
                hint = containai_apt.hint(held, lines) if held else "run `sudo dpkg --configure -a`, then `cai uninstall` again"
                raise Failure(f"apt could not remove {' '.join(ours)}{held}:\n{lines}", hint)
        for diverted in self.record.data.get("diversions", []):
            if not self.dry:
                run("dpkg-divert", "--local", "--no-rename", "--divert", diverted, "--remove", "/usr/bin/docker")

    def dependents(self, name, others):
        """Which of `others` go when `name` alone is removed."""
        plan = run("apt-get", "--simulate", "purge", name).stdout
        return {line.split()[1].split(":")[0] for line in plan.splitlines() if line.startswith(("Remv ", "Purg "))} & set(others)

    def remove_accounts(self):
        for group, user in self.record.data.get("members", []):
            self.did("change", f"group {group}: take out {user}")
            if not self.dry:
                run("gpasswd", "--delete", user, group)
        for user in self.record.data.get("users", []):
            if run("getent", "passwd", user).returncode == 0:
                self.did("remove", f"user {user}")
                if not self.dry:
                    run("userdel", user)
        for group in self.record.data.get("groups", []):
            if group in self.record.data.get("users", []) and self.dry:
                continue  # goes with its user
            if run("getent", "group", group).returncode == 0:
                self.did("remove", f"group {group}")
                if not self.dry:
                    run("groupdel", group)
