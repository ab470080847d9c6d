#!/usr/bin/python3 -IS
"""DOUBLE of sysbox-runc, a part of the tests: gives the container a user namespace and a sysboxfs mount, then becomes runc.

What it does for real: the kernel's user namespace (mapped to the `sysbox:` range of /etc/subuid), a file system
named sysboxfs in the container, and the seccomp-notify attempt that fails under another listener.
What it does not do: nested Docker, emulated /proc and /sys, ID-mapped mounts (it changes the files' owners instead).
"""

import ctypes
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys

VERSION = "@VERSION@"
ISOLATING = "@ISOLATING@" == "yes"
ROOTS = pathlib.Path("/var/lib/sysbox/rootfs")
RUNC = next(
    (path for path in ("/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc") if os.path.exists(path)), "runc"
)
PR_SET_NO_NEW_PRIVS, NEW_LISTENER = 38, 8
SECCOMP = {"x86_64": 317, "aarch64": 277}


def value(name):
    """The value of an option on our command line."""
    for index, word in enumerate(sys.argv):
        if word == name:
            return sys.argv[index + 1]
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def fail(text):
    """Report an error the way a runtime does: in the --log file and on stderr."""
    if value("--log"):
        with open(value("--log"), "a", encoding="utf-8") as log:
            log.write(json.dumps({"level": "error", "msg": text}) + "\n")
    sys.exit(text)


def reach(name, address):
    """sysbox-runc registers each container with both daemons."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(f"/run/sysbox/{address}")
    except OSError as error:
        fail(f"failed to register with {name}: {name} is not reachable: {error.strerror}")


def try_listener():
    """Attempt in a child what Sysbox needs: a seccomp filter with a user-notify listener. Returns the errno."""
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), 8)
        program = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(instruction)))
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        number = SECCOMP[os.uname().machine]
        result = libc.syscall(ctypes.c_long(number), ctypes.c_ulong(1), ctypes.c_ulong(NEW_LISTENER), program)
        os._exit(0 if result >= 0 else ctypes.get_errno())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def mapping(path):
    """The `sysbox:` range of /etc/subuid or /etc/subgid, as runc wants it."""
    for line in pathlib.Path(path).read_text().splitlines():
        name, start, size = line.split(":")
        if name == "sysbox":
            return [{"containerID": 0, "hostID": int(start), "size": int(size)}]
    return fail(f"no subid range of user sysbox in {path}")


def shift(root, uid, gid):
    """Give the files below root to the mapped owners, once."""
    device = os.lstat(root).st_dev
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if status.st_dev == device and status.st_uid < 65536:
                os.lchown(path, status.st_uid + uid, status.st_gid + gid)
                if not os.path.islink(path):
                    os.chmod(path, status.st_mode & 0o7777)


def isolate(bundle):
    """Rewrite the bundle's config.json."""
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    linux = config["linux"]
    kinds = [space["type"] for space in linux["namespaces"]]
    if "time" in kinds and VERSION in ("0.6.7", "0.7.0"):
        fail('namespace {"time" ""} does not exist')
    uids, gids = mapping("/etc/subuid"), mapping("/etc/subgid")
    if "user" not in kinds:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"], linux["gidMappings"] = uids, gids
    linux.get("sysctl", {}).pop("net.ipv4.ping_group_range", None)
    original = bundle / config["root"]["path"]
    shift(original, uids[0]["hostID"], gids[0]["hostID"])
    # The mapped root cannot walk through the engine's own folders.
    place = ROOTS / value("--bundle").rstrip("/").rpartition("/")[2]
    place.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(place):
        subprocess.run(["mount", "--bind", str(original), str(place)], check=True)
    config["root"]["path"] = str(place)
    mount = {
        "destination": "/proc/swaps",
        "type": "bind",
        "source": "/var/lib/sysboxfs/swaps",
        "options": ["rbind", "rprivate"],
    }
    config["mounts"].append(mount)
    path.write_text(json.dumps(config))


def main():
    """Do our part of the command, then become runc."""
    if "--version" in sys.argv or "-v" in sys.argv:
        print(
            f"sysbox-runc\n\tedition: \tCommunity Edition (CE) (double)\n\tversion: \t{VERSION}\n\tcommit: \tdouble\n\toci-specs: \t1.1.0"
        )
        return
    if ISOLATING and ("create" in sys.argv or "run" in sys.argv):
        reach("sysbox-mgr", "sysmgr.sock")
        reach("sysbox-fs", "sysfs.sock")
        if try_listener() == 16:
            fail(
                "error loading seccomp notification rules: error loading seccomp filter into kernel: device or resource busy"
            )
        isolate(pathlib.Path(value("--bundle") or value("-b") or "."))
    if "delete" in sys.argv:
        place = ROOTS / sys.argv[-1]
        subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL, check=False)
        if place.is_dir():
            place.rmdir()
    os.execv(RUNC, ["runc", *sys.argv[1:]])


main()
