#!/usr/bin/python3 -IS
"""DOUBLE of sysbox-runc, a part of the tests: gives the container a user namespace and a sysboxfs mount, then becomes runc.

What it does for real: the kernel's user namespace (mapped to the `sysbox:` range of /etc/subuid), a file system
named sysboxfs in the container, and the seccomp-notify attempt that fails under another listener.
What it does not do: nested Docker, emulated /proc and /sys, ID-mapped mounts (its sysbox-mgr changes the owner of every file instead).
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
FILES = "/var/lib/sysboxfs"
REGISTERED = pathlib.Path("/run/sysbox-runc/registered")
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


def tell(name, address, **request):
    """Ask one of the daemons; returns what it objects, or an empty string."""
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel,
            channel.makefile("rw", encoding="utf-8") as stream,
        ):
            channel.connect(f"/run/sysbox/{address}")
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            return json.loads(stream.readline())["error"]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        return (
            f"rpc error: code = Unavailable desc = connection error: dial unix /run/sysbox/{address}: {reason.lower()}"
        )


def upper_of(root):
    """The folder with what the container changed: the upper layer of its overlay, else the root itself."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, more = line.partition(" - ")
        if fields.split()[4] == str(root) and more.startswith("overlay "):
            return next(word for word in more.split()[-1].split(",") if word.startswith("upperdir="))[9:]
    return str(root)


def register(identity, root):
    """Register the container with both daemons, in the original's order."""
    objection = tell("sysbox-fs", "sysfs.sock", do="preregister", identity=identity)
    if objection:
        fail(f"failed to pre-register with sysbox-fs: failed to register container with sysbox-fs: {objection}")
    objection = tell(
        "sysbox-mgr", "sysmgr.sock", do="register", identity=identity, root=str(root), upper=upper_of(root)
    )
    if objection:
        tell("sysbox-fs", "sysfs.sock", do="unregister", identity=identity)
        fail(f"failed to register with sysbox-mgr: {objection}")
    (REGISTERED / identity).parent.mkdir(parents=True, exist_ok=True)
    (REGISTERED / identity).touch()


def unregister(identity):
    """Only one that was registered; a daemon that was started since does not know it, and does nothing."""
    if not (REGISTERED / identity).exists():
        return
    (REGISTERED / identity).unlink()
    tell("sysbox-fs", "sysfs.sock", do="unregister", identity=identity)
    tell("sysbox-mgr", "sysmgr.sock", do="unregister", identity=identity)


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


def isolate(bundle, identity):
    """Register the container, and rewrite the bundle's config.json."""
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
    register(identity, original)
    # The mapped root cannot walk through the engine's own folders.
    place = ROOTS / identity
    place.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(place):
        subprocess.run(["mount", "--bind", str(original), str(place)], check=True)
    config["root"]["path"] = str(place)
    config["mounts"] += [
        {
            "destination": f"/proc/{name}",
            "type": "bind",
            "source": f"{FILES}/{identity}/{name}",
            "options": ["rbind", "rprivate"],
        }
        for name in ("swaps", "uptime")
    ]
    path.write_text(json.dumps(config))


def main():
    """Do our part of the command, then become runc."""
    if "--version" in sys.argv or "-v" in sys.argv:
        print(
            f"sysbox-runc\n\tedition: \tCommunity Edition (CE) (double)\n\tversion: \t{VERSION}\n\tcommit: \tdouble\n\toci-specs: \t1.1.0"
        )
        return
    identity = sys.argv[-1]
    if ISOLATING and ("create" in sys.argv or "run" in sys.argv):
        if try_listener() == 16:
            fail(
                "error loading seccomp notification rules: error loading seccomp filter into kernel: device or resource busy"
            )
        isolate(pathlib.Path(value("--bundle") or value("-b") or "."), identity)
    if ISOLATING and "exec" in sys.argv:
        try:
            os.stat(f"{FILES}/{identity}/swaps")
        except OSError as error:
            fail(f"unsafe procfs detected: {FILES}/{identity}: {error.strerror.lower()}")
    if "delete" in sys.argv:
        place = ROOTS / identity
        subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL, check=False)
        if place.is_dir():
            place.rmdir()
        unregister(identity)
    os.execv(RUNC, ["runc", *sys.argv[1:]])


main()
