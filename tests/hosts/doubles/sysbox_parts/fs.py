#!/usr/bin/python3 -BIS
"""DOUBLE of sysbox-fs, a part of the tests: one FUSE file system for each container at /var/lib/sysboxfs/ID, mounted by fusermount3.

The file systems are real, and die with this process: whoever looks into one is then told that the transport endpoint is not connected.
"""

import array
import contextlib
import errno
import os
import pathlib
import socket
import stat
import struct
import subprocess
import sys
import threading

sys.path.insert(0, "/usr/lib/sysbox-double")
from daemon import PATH, serve  # the package's own folder

ROOT = pathlib.Path("/var/lib/sysboxfs")
FILES = {2: ("swaps", b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"), 3: ("uptime", b"1.00 1.00\n")}
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR, READDIR = 1, 2, 3, 14, 15, 18, 25, 26, 27, 28
RELEASEDIR, INTERRUPT, BATCH_FORGET = 29, 36, 42
containers = {}


def attributes(node):
    """struct fuse_attr."""
    size = 0 if node == 1 else len(FILES[node][1])
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o444
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def listing(offset):
    """struct fuse_dirent of each file."""
    entries = b""
    for node, (name, _) in list(FILES.items())[offset:]:
        entry = struct.pack("<QQII", node, node - 1, len(name), 8) + name.encode()
        entries += entry.ljust((len(entry) + 7) // 8 * 8, b"\0")
    return entries


def reply(operation, node, body):
    """The answer to a request of the kernel: (errno, data)."""
    if operation == INIT:
        return 0, struct.pack("<4I2H2I2H8I", 7, 31, 4096, 0, 12, 9, 4096, 1, 0, 0, *[0] * 8)
    if operation == LOOKUP:
        wanted = body.rstrip(b"\0").decode()
        found = next((number for number, (name, _) in FILES.items() if name == wanted), None)
        if found is None:
            return errno.ENOENT, b""
        return 0, struct.pack("<4Q2I", found, 0, 1, 1, 0, 0) + attributes(found)
    if operation == GETATTR:
        return 0, struct.pack("<Q2I", 1, 0, 0) + attributes(node)
    if operation in (OPEN, OPENDIR):
        return 0, struct.pack("<Q2I", 0, 0, 0)
    if operation in (READ, READDIR):
        _, offset, size = struct.unpack_from("<QQI", body)
        return 0, listing(offset) if operation == READDIR else FILES[node][1][offset : offset + size]
    return (0, b"") if operation in (RELEASE, RELEASEDIR, FLUSH) else (errno.ENOSYS, b"")


def work(device):
    """Answer the kernel until the file system is unmounted."""
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            os.close(device)
            return
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        code, data = reply(operation, node, request[40:])
        os.write(device, struct.pack("<IiQ", 16 + len(data), -code, unique) + data)


def mount(place):
    """Have fusermount3 mount it; returns the descriptor that it hands over."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        said = subprocess.run(
            ["fusermount3", "-o", "fsname=sysboxfs,allow_other", "--", str(place)],
            env={"PATH": PATH, "_FUSE_COMMFD": str(theirs.fileno())}, pass_fds=[theirs.fileno()], capture_output=True, text=True, check=False,
        )  # fmt: skip
        if said.returncode != 0:
            raise OSError(f"fusermount: {said.stderr.strip()}")
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
        return struct.unpack("i", ancillary[0][2][:4])[0]


def preregister(identity):
    """Give a container its file system. One that failed stays known, as with the original."""
    if identity in containers:
        raise ValueError(f"Container with ID {identity[:12]} is already pre-registered")
    containers[identity] = None
    place = ROOT / identity
    try:
        place.mkdir(parents=True, exist_ok=True)
        containers[identity] = mount(place)
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
        raise ValueError(f"Initialization error for container-id {identity[:12]}") from error
    threading.Thread(target=work, args=(containers[identity],), daemon=True).start()


def unregister(identity):
    """Take it back."""
    if identity not in containers:
        raise ValueError(f"container {identity[:12]} is not registered")
    del containers[identity]
    subprocess.run(["fusermount3", "-u", "-z", str(ROOT / identity)], check=False, env={"PATH": PATH})
    with contextlib.suppress(OSError):
        (ROOT / identity).rmdir()


def begin():
    """A guest with few services may not have loaded the module; a host may not load one, and has it."""
    subprocess.run(["modprobe", "--quiet", "fuse"], check=False, env={"PATH": PATH})
    ROOT.mkdir(exist_ok=True)


def end():
    """A clean end leaves no mount."""
    for identity in list(containers):
        unregister(identity)


serve(
    "sysbox-fs", "sysfs.sock", (), {"preregister": preregister, "unregister": unregister}, begin, end
)  # fmt: skip
