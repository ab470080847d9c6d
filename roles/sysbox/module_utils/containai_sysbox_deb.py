"""Get the Sysbox package and install it so that its maintainer scripts cannot touch the host's daemon.json."""

from __future__ import annotations

import glob
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import tempfile
import urllib.error
import urllib.request

from ansible.module_utils.containai import apt, apt_plan
from ansible.module_utils.containai.apt import run
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.progress import followed, size, tell
from ansible.module_utils.containai.proxy import through

PACKAGE = "sysbox-ce"
PROGRAMS = ("/usr/bin/sysbox-runc", "/usr/bin/sysbox-mgr", "/usr/bin/sysbox-fs")
LARGEST = 512 << 20
DOCKER_SETTINGS, SCRATCH = "/etc/docker", "/run"
# What the package's scripts look for, by regular expression and four spaces deep: with all three there, they leave Docker alone.
SHADOW = {
    "runtimes": {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}},
    "bip": "172.20.0.1/16",
    "default-address-pools": [{"base": "172.25.0.0/16", "size": 24}],
}


def fetch(source, sha256, folder, progress=""):
    """Return the path of the verified package: from `folder` if it is there already, else copied or downloaded from `source`.

    `progress` names a file in which "15%, 3.1 of 20.4 MB" stands meanwhile. The file appears under its name only after its checksum was found right.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    target = os.path.join(folder, f"sysbox-ce-{sha256[:16]}.deb")
    if os.path.exists(target) and digest_of(target) == sha256:
        return target
    url = source if "://" in source else pathlib.Path(os.path.abspath(source)).as_uri()
    for left in os.listdir(folder):
        if left.startswith(".download-"):  # of a run that was killed; only one runs at a time
            os.unlink(os.path.join(folder, left))
    fd, partial = tempfile.mkstemp(prefix=".download-", dir=folder)
    try:
        with os.fdopen(fd, "wb") as handle, opened(url) as answer:
            found = copy(answer, handle, progress)
        if found != sha256:
            raise Failure(
                f"The Sysbox package from {source} has the sha256 {found}; {sha256} is needed. It was thrown away.",
                'run `cai setup` again; for another build set its checksum: `cai setup -e \'sysbox_sha256={"amd64": "..."}\'`',
            )
        os.rename(partial, target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        code = getattr(reason, "strerror", None) or reason
        if isinstance(error, urllib.error.HTTPError):
            code = f"HTTP {error.code}" + (", a redirect that leads nowhere" if error.code in range(300, 400) else "")
        raise Failure(
            f"The Sysbox package could not be fetched from {source}{through(url)}: {code}.",
            apt.clock_hint(str(code)) or "check the network or the proxy, or name a mirror or a file: `cai setup -e sysbox_deb=/path/to/sysbox.deb`",
        ) from error
    finally:
        tell(progress, "")
        if os.path.exists(partial):
            os.unlink(partial)
    return target


def other_name(url):
    """Return the package's other name: releases before 0.6.7 have "-0" after the version, newer ones have not on every host. The same if there is none."""
    return re.sub(r"(/sysbox-ce_[^/_-]+)(-0)?(\.linux_[a-z0-9]+\.deb)$", lambda name: name[1] + ("" if name[2] else "-0") + name[3], url)


def opened(url):
    """Open the package's address; where the server has none of that name, the one of the other name."""
    try:
        return urllib.request.urlopen(url, timeout=60)
    except urllib.error.HTTPError as error:
        other = other_name(url)
        if error.code != 404 or other == url:
            raise
        try:
            return urllib.request.urlopen(other, timeout=60)
        except urllib.error.HTTPError:
            raise error from None


def copy(answer, handle, progress=""):
    """Copy the answer to the file; return its sha256. A server that sends too much or too little is an error."""
    digest, length, promised = hashlib.sha256(), 0, answer.headers.get("Content-Length")
    while chunk := answer.read(1 << 20):
        length += len(chunk)
        if length > LARGEST:
            raise OSError(27, f"more than {LARGEST >> 20} MiB were sent")
        digest.update(chunk)
        handle.write(chunk)
        tell(progress, size(length, int(promised or 0)))
    if promised and int(promised) != length:
        raise OSError(5, f"the connection ended after {length} of {promised} bytes")
    return digest.hexdigest()


def digest_of(path):
    with open(path, "rb") as handle:
        return hashlib.sha256(handle.read()).hexdigest()


def check_deb(path, version, architecture):
    """Refuse a package that is not the one asked for."""
    fields = run(["dpkg-deb", "--field", path, "Package", "Version", "Architecture"]).stdout
    found = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
    name, number, machine = found.get("Package"), plain_version(found.get("Version", "")), found.get("Architecture")
    if (name, number, machine) != (PACKAGE, version, architecture):
        raise Failure(
            f"The package holds {name} {number} for {machine}; {PACKAGE} {version} for {architecture} is needed.",
            "set `sysbox_version`, `sysbox_deb` and `sysbox_sha256` so that they speak of the same package", "precondition",
        )  # fmt: skip


def plain_version(text):
    """0.7.1 of dpkg's 0.7.1.linux or 0.6.4-0.linux."""
    return text.removesuffix(".linux").removesuffix("-0")


def installed():
    """Return (version, whether it is whole: dpkg finished, and its programs are there), or (None, True) where it is not installed."""
    result = run(["dpkg-query", "-W", "-f", "${Version}\t${Status}", PACKAGE])
    version, _, status = result.stdout.partition("\t")
    if result.returncode != 0 or status.endswith(("not-installed", "config-files")):
        return None, True
    return plain_version(version), status == "install ok installed" and all(map(os.path.exists, PROGRAMS))


def remains():
    """Whether dpkg knows anything of it, be it settings alone: a purge that was killed."""
    result = run(["dpkg-query", "-W", "-f", "${Status}", PACKAGE])
    return result.returncode == 0 and not result.stdout.endswith("not-installed")


def newer(one, other):
    return run(["dpkg", "--compare-versions", one, "gt", other]).returncode == 0


def scratch_folders():
    """Return those that killed runs left."""
    return glob.glob(os.path.join(SCRATCH, "containai-shadow-*"))


def sweep():
    """Clear away the scratch folders of killed runs. Only when dpkg is done: its scripts may still see one, from a run whose module alone was killed."""
    for left in scratch_folders():
        shutil.rmtree(left, ignore_errors=True)


def in_shadow(argv, **more):
    """Run a command with /etc/docker covered, for this command and its children only, by a scratch folder."""
    os.makedirs(DOCKER_SETTINGS, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="containai-shadow-", dir=SCRATCH)
    try:
        with open(os.path.join(scratch, "daemon.json"), "w", encoding="ascii") as handle:
            json.dump(SHADOW, handle, indent=4)
            handle.write("\n")
        script = 'mount --bind "$0" "$1"; shift; exec "$@"'
        return run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, scratch, DOCKER_SETTINGS, *argv], **more)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# fuse3 provides the `fuse` that the package wants; the package `fuse` itself would remove fuse3.
NEEDS = ("fuse3", "kmod")
# What the package itself names, for a plan that is made before the package is here.
DEPENDS = ("jq", "rsync", "iptables", "lsb-release")
INSTALL = ("install", "--no-install-recommends", "--reinstall")


def missing(names=NEEDS):
    """Return those that the host lacks; what is there stays at its version."""
    listing = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *names]).stdout.splitlines()
    return [name for name in names if f"installed {name}" not in listing]


def check_losses(allowed, deb=None):
    """Refuse a transaction that would remove or downgrade anything but Sysbox itself; return what goes with permission."""
    needs = missing(NEEDS if deb else (*NEEDS, *DEPENDS))
    if not (needs or deb):
        return []
    wanted = [*needs, deb] if deb else needs
    lost = [loss for loss in apt_plan.losses(run, [*INSTALL, "--allow-downgrades", *wanted]) or [] if loss.name != PACKAGE]
    found = apt_plan.unwanted(lost, allowed)
    if found:
        what, option = found
        if deb:
            raise Failure(
                f"apt would {what} to install {PACKAGE}, which conflicts with it. Sysbox was not installed.",
                f"let it go with `cai setup` and {option}",
                "precondition",
            )
        needed = " ".join(needs)
        raise Failure(
            f"apt would {what} to install {needed}, which Sysbox needs. Nothing was changed.", f"let it go with `cai setup` and {option}", "precondition"
        )
    return [loss.name for loss in lost]


def install(deb, progress="", wait=300, going=(), downgrade=False):
    """Install or upgrade. Where that fails, dpkg is left able to work: a half-configured package would block apt. `going`: what apt may remove."""
    keep = [*([] if going else ["--no-remove"]), *(["--allow-downgrades"] if downgrade else [])]
    apt_get = ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={wait}", *apt_plan.OPTIONS]
    argv = [*apt_get, *INSTALL, "--yes", *keep, "-o", "Dpkg::Options::=--force-confold", *missing(), deb]
    result = followed(in_shadow, argv, progress)
    if result.returncode == 0:
        return
    check_losses(going, deb)
    in_shadow(["dpkg", "--configure", "-a"])
    update = followed(run, [*apt_get, "update"], progress)
    result = followed(in_shadow, argv, progress)
    if result.returncode != 0:
        if not installed()[1]:
            in_shadow(["dpkg", "--purge", "--force-all", PACKAGE])
        detail = "\n".join(ends(update) * (update.returncode != 0) + ends(result))
        held = apt.holder()
        raise Failure(f"apt could not install {os.path.basename(deb)}{held}:\n{detail}", apt.hint(held, detail))


def ends(result, lines=6):
    """The last lines of what a command said."""
    return [line for line in f"{result.stdout}\n{result.stderr}".splitlines() if line.strip()][-lines:]


def purge(wait, folder, brought):
    """Remove it with its settings. What a dpkg that was killed left half unpacked of it, or of what came with it, would stop apt."""
    in_shadow(["dpkg", "--configure", "-a"])  # mends what an interrupted dpkg left; without that there is nothing to do
    apt.unpack_anew(in_shadow, [PACKAGE], os.path.join(folder, "{}-*.deb"))
    apt.unpack_anew(in_shadow, [name for name in brought if name != PACKAGE])
    others = sorted(apt_plan.purged_with(run, [PACKAGE]) - set(brought))
    if others:
        raise Failure(
            f"Sysbox stays: apt would remove {', '.join(others)} with it.", f"run `sudo apt-get purge {' '.join(others)}` if they are not needed", "failed"
        )
    command = ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={wait}", *apt_plan.OPTIONS, "purge", "--yes", PACKAGE]
    said = in_shadow(command)
    # Of a package whose removal was cut off apt removes the files alone, whatever it is told; a second time the settings too.
    return in_shadow(command) if installed()[0] is None and remains() else said
