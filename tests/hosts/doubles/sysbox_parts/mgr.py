#!/usr/bin/python3 -BIS
"""DOUBLE of sysbox-mgr, a part of the tests: the range of ids, and the owner of a container's files while it is registered.

As with the original, what a container owns is shifted when it is registered and shifted back only when it is unregistered by the same
process; /var/lib/sysbox may not be on overlayfs, and is emptied when the daemon starts.
"""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, "/usr/lib/sysbox-double")
from daemon import serve  # the package's own folder

DATA = pathlib.Path("/var/lib/sysbox")
REFUSED = ("overlayfs", "tmpfs")
containers = {}


def give_subordinate_ids():
    """The `sysbox` user's range in /etc/subuid and /etc/subgid, which containers' roots are mapped to."""
    for name in ("/etc/subuid", "/etc/subgid"):
        path = pathlib.Path(name)
        lines = path.read_text().splitlines() if path.exists() else []
        if any(line.startswith("sysbox:") for line in lines):
            continue
        ends = [
            int(start) + int(size) for _, start, size in (line.split(":") for line in lines if line.count(":") == 2)
        ]
        path.write_text("\n".join([*lines, f"sysbox:{max([231072, *ends])}:65536"]) + "\n")


def first_id(path):
    """The first id of the range."""
    (line,) = [line for line in pathlib.Path(path).read_text().splitlines() if line.startswith("sysbox:")]
    return int(line.split(":")[1])


def empty_data():
    """What an earlier process left: its mounts and its folders go, whatever they hold."""
    mounted = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for path in mounted:
        if path.startswith(f"{DATA}/"):
            subprocess.run(["umount", "-l", path], check=False)
    # Never through a mount that could not be taken off: it would be a container's files.
    subprocess.run(["rm", "-rf", "--one-file-system", *DATA.glob("*")], stderr=subprocess.DEVNULL, check=False)


def begin():
    """Prepare the data folder, or refuse its file system."""
    empty_data()
    folder = DATA / "docker"
    DATA.mkdir(mode=0o711, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()
    if kind in REFUSED:
        sys.exit(f"failed to setup docker vol mgr: host dir for docker vol manager ({folder}) can't be on {kind}")
    give_subordinate_ids()


def shift(root, uid, gid):
    """Change every owner below root by that much."""
    device, seen = os.lstat(root).st_dev, set()
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files] if folder == str(root) else [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if status.st_dev != device or status.st_ino in seen:
                continue
            if status.st_nlink > 1:
                seen.add(status.st_ino)
            os.lchown(path, status.st_uid + uid, status.st_gid + gid)
            if not os.path.islink(path):
                os.chmod(path, status.st_mode & 0o7777)


def register(identity, root, upper):
    """Shift the container's files to the ids that it is mapped to."""
    if identity in containers:
        raise ValueError(f"redundant container registration for container {identity[:12]}")
    containers[identity] = upper
    shift(root, first_id("/etc/subuid"), first_id("/etc/subgid"))


def unregister(identity):
    """Shift them back."""
    if identity not in containers:
        raise ValueError(f"can't unregister container {identity[:12]}; not found in container table")
    shift(containers.pop(identity), -first_id("/etc/subuid"), -first_id("/etc/subgid"))


def end():
    """What is left registered stays shifted, as with the original."""
    if containers:
        print(f"The following containers are active and will stop operating properly: {', '.join(containers)}")
    empty_data()


serve(
    "sysbox-mgr", "sysmgr.sock", ("rsync", "modprobe", "iptables"), {"register": register, "unregister": unregister}, begin, end
)  # fmt: skip
