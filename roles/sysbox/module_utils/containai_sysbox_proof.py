"""Trials with containers: what one under sysbox-runc and one under runc see of themselves, and whether a published port answers."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket as sockets
import subprocess
import tarfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.containai import process
from ansible.module_utils.containai.docker_cli import reason
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_sysbox_symptoms import OTHERWISE, hint_for, journals

WHOLE_MAP = ["0", "0", "4294967295"]
SEPARATOR = "----"
RUN_SECONDS = 180  # up to three run side by side, on a slow machine too
# Every Debian and Ubuntu has perl, and this needs none of its modules. The numbers: AF_INET, SOCK_STREAM.
PORT, GREETING, ANSWER_SECONDS = 8000, b"containai", 10
SERVER = f'socket(S,2,1,0)&&bind(S,pack("Sna4x8",2,{PORT},"\\0"x4))&&listen(S,9)||die$!;alarm 60;syswrite(C,"{GREETING.decode()}"),exit if accept(C,S)'


def docker(socket, *argv, data=None):
    """Run the docker CLI against our socket and nothing else: no context, no settings of the user."""
    program = next((path for path in (process.which("docker"), "/usr/bin/docker.containai") if path and os.access(path, os.X_OK)), None)
    if program is None:
        raise Failure("There is no docker CLI on this host.", "run `sudo apt-get install docker-cli` (or start Docker Desktop), then `cai setup` again")
    environment = {"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent", "DOCKER_HOST": f"unix://{socket}"}
    try:
        result = process.run([program, *argv], input=data or b"", text=False, environment=environment, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failure(
            f"`docker {argv[0]}` did not end within {RUN_SECONDS} seconds.", "run `journalctl -u sysbox-mgr -u sysbox-fs -u containai-docker`"
        ) from error
    return result.returncode, result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace").strip()


def libraries(program):
    """Return the files that the program loads, by the dynamic linker's own account."""
    listing = process.run(["ldd", program]).stdout
    return re.findall(r"(/\S+)(?= \(0x)", listing)


def image():
    """Return a tar of a root file system with /bin/cat and /bin/perl in it."""
    programs = {name: os.path.realpath(process.which(name)) for name in ("cat", "perl")}
    files = {f"bin/{name}": path for name, path in programs.items()}
    for path in programs.values():
        files |= {library.lstrip("/"): os.path.realpath(library) for library in libraries(path)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        made = set()
        for name, source in files.items():
            parts = name.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                add_folder(tar, "/".join(parts[:depth]), made)
            tar.add(source, arcname=name, recursive=False)
        for name in ("proc", "sys", "dev", "etc", "tmp", "run"):
            add_folder(tar, name, made)
    return buffer.getvalue()


def add_folder(tar, name, made):
    if name not in made:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
        made.add(name)


def look_inside(socket, tag, runtime):
    """Return (uid_map as words, mountinfo) seen in a container under `runtime`."""
    argv = [
        "run",
        "--rm",
        "--name",
        f"{tag}-{runtime}",
        "--network",
        "none",
        "--runtime",
        runtime,
        tag,
        "/bin/cat",
        "/proc/self/uid_map",
        "/proc/self/mountinfo",
    ]
    began = time.time()
    code, out, err = docker(socket, *argv)
    if code != 0:
        docker(socket, "rm", "--force", f"{tag}-{runtime}")
        raise Failure(
            f"A container under {runtime} did not start: {reason(err, code)}",
            hint_for(err, journals(began), seccomp=wsl_remedy),
        )
    lines = out.splitlines()
    maps = [line.split() for line in lines if len(line.split()) == 3]
    return maps[0] if maps else [], "\n".join(line for line in lines if len(line.split()) > 3)


def wsl_remedy():
    return containai_wsl_network.remedy(containai_wsl_network.networking_mode(), containai_wsl_network.fixed_by_policy())


@contextlib.contextmanager
def trial_image(socket):
    """Have the engine hold an image for the trials, and give its name."""
    info = ask(socket, "/info")
    if not info:
        raise Failure(f"The engine does not answer on {socket}.", "run `systemctl status containai-docker`, then `cai setup` again")
    if "sysbox-runc" not in info.get("Runtimes", {}):
        raise Failure("The engine does not know the runtime sysbox-runc.", "run `cai setup` again, which adds it")
    tag = f"containai-isolation-{uuid.uuid4().hex[:12]}"
    code, _, err = docker(socket, "import", "-", tag, data=image())
    if code != 0:
        raise Failure(f"The test image could not be made: {err}", "run `df -h /var/lib`, make room, then `cai setup` again")
    try:
        yield tag, info.get("DefaultRuntime", "runc")
    finally:
        docker(socket, "image", "rm", "--force", tag)


def prove(socket, tag):
    """Return the Sysbox container's uid_map; raise a Failure where isolation was not shown."""
    with ThreadPoolExecutor() as pool:  # side by side, since each mostly waits for the engine
        (own_map, mounts), (host_map, _) = pool.map(lambda runtime: look_inside(socket, tag, runtime), ("sysbox-runc", "runc"))
    if own_map in ([], host_map, WHOLE_MAP):
        raise Failure(
            f"A container under sysbox-runc has the uid map {' '.join(own_map) or 'of nobody'}, as one under runc has: it is not isolated.", OTHERWISE
        )
    if "sysboxfs" not in mounts:
        raise Failure("A container under sysbox-runc has no file system of sysbox-fs.", OTHERWISE)
    return " ".join(own_map)


def try_port(socket, tag):
    """Publish a port of a Sysbox container on this host's 127.0.0.1, and return its number there; raise a Failure unless the container answers on it."""
    name = f"{tag}-port"
    argv = ["run", "--detach", "--rm", "--name", name, "--runtime", "sysbox-runc", "--publish", f"127.0.0.1::{PORT}", tag, "/bin/perl", "-e", SERVER]
    code, _, err = docker(socket, *argv)
    try:
        if code != 0:
            raise Failure(
                f"A container with a published port did not start: {reason(err, code)}",
                "run `journalctl -u containai-docker`",
            )
        details = ask(socket, f"/containers/{name}/json") or {}
        ports = details.get("NetworkSettings", {}).get("Ports", {}).get(f"{PORT}/tcp")
        port = int(ports[0]["HostPort"]) if ports else 0
        if not greeted(port):
            raise Failure(
                f"A container's port, published on 127.0.0.1:{port}, does not answer on this host.",
                "run `cai setup`, then `cai doctor` again; `journalctl -u containai-docker` shows what its docker-proxy says",
            )
        gone(socket, name)
        return port
    finally:
        if ask(socket, f"/containers/{name}/json") is not None:
            docker(socket, "rm", "--force", name)


def greeted(port):
    """Return whether the container's greeting comes from there. A connection that ends without it was made before the container listened."""
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        try:
            with sockets.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
                if connection.recv(len(GREETING)) == GREETING:
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def gone(socket, name):
    """Wait for the engine to have removed a container that ends by itself: an image in use cannot be removed."""
    end = time.monotonic() + ANSWER_SECONDS
    while ask(socket, f"/containers/{name}/json") is not None and time.monotonic() < end:
        time.sleep(0.05)
