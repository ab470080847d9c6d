"""The proof of isolation: a container under sysbox-runc and one under runc, and what each sees of itself."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
import uuid

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.containai import process
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai_sysbox_symptoms import OTHERWISE, hint_for, journals

WHOLE_MAP = ["0", "0", "4294967295"]
SEPARATOR = "----"
RUN_SECONDS = 90


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
    """Return a tar of a root file system with /bin/cat in it."""
    cat = os.path.realpath(process.which("cat"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        made = set()
        for name, source in [("bin/cat", cat)] + [(path.lstrip("/"), os.path.realpath(path)) for path in libraries(cat)]:
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
            f"A container under {runtime} did not start: {err.splitlines()[-1] if err else f'exit code {code}'}",
            hint_for(err, journals(began), seccomp=wsl_remedy),
        )
    lines = out.splitlines()
    maps = [line.split() for line in lines if len(line.split()) == 3]
    return maps[0] if maps else [], "\n".join(line for line in lines if len(line.split()) > 3)


def wsl_remedy():
    return containai_wsl_network.remedy(containai_wsl_network.networking_mode(), containai_wsl_network.fixed_by_policy())


def prove(socket):
    """Return the Sysbox container's uid_map; raise a Failure where isolation was not shown."""
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
        own_map, mounts = look_inside(socket, tag, "sysbox-runc")
        host_map, _ = look_inside(socket, tag, "runc")
    finally:
        docker(socket, "image", "rm", "--force", tag)
    if own_map in ([], host_map, WHOLE_MAP):
        raise Failure(
            f"A container under sysbox-runc has the uid map {' '.join(own_map) or 'of nobody'}, as one under runc has: it is not isolated.", OTHERWISE
        )
    if "sysboxfs" not in mounts:
        raise Failure("A container under sysbox-runc has no file system of sysbox-fs.", OTHERWISE)
    return " ".join(own_map), info.get("DefaultRuntime", "runc")
