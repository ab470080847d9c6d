#!/usr/bin/python
"""Prove that a Sysbox container is isolated: run one, and look at it from inside."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
import uuid

from ansible.module_utils import containai_wsl_network
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai import process
from ansible.module_utils.containai.engine_api import ask
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.lock import hold
from ansible.module_utils.containai_sysbox_advisories import open_ones, told, way
from ansible.module_utils.containai_sysbox_symptoms import OTHERWISE, hint_for, journals

DOCUMENTATION = r"""
module: sysbox_isolation
short_description: Run a container under sysbox-runc and one under runc, and compare what they see
description:
  - The Sysbox container must have a user namespace of its own (C(/proc/self/uid_map)) and a file system of sysbox-fs (C(/proc/self/mountinfo)).
    The same image under runc is the negative control. The engine's default runtime must not be sysbox-runc.
  - An installed Sysbox with a known weakness is a warning, and a finding of its own in the report.
  - A health report also names the running containers that are not under Sysbox.
  - The image is made of this host's C(cat) and its libraries, so no registry is asked. Image and containers are removed again.
options:
  socket: {type: path, required: true, description: The engine's API socket.}
  report: {type: bool, default: false, description: "Return C(findings) for a health report, change nothing and never fail for them."}
  ready: {type: bool, default: true, description: "With I(report): whether engine and Sysbox are such that a trial means something."}
  advisories: {type: list, elements: dict, default: [], description: "Weaknesses of Sysbox: C(version) (the newest that has it), C(fixed_in), C(what), C(source)."}
  known: {type: list, elements: str, default: [], description: Versions of Sysbox whose checksums the role knows.}
  warn_only: {type: bool, default: false, description: Report a failure in a warning (under --force and a known seccomp conflict only).}
attributes:
  check_mode: {support: full, description: in check mode nothing is run}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- sysbox_isolation:
    socket: /var/run/docker-containai.sock
"""
RETURN = r"""
findings: {type: list, elements: dict, returned: "with I(report), and where I(warn_only) let a failure pass", description: parts of a health report, sample: [{part: isolation, status: pass, found: "uid map 0 231072 65536", hint: ""}]}
isolated: {type: bool, returned: always, description: whether that was shown, sample: true}
uid_map: {type: str, returned: when a container ran, description: the Sysbox container's uid_map, sample: 0 231072 65536}
"""

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


def report(params, check_mode):
    """Return the finding of a trial, or say why none was made."""
    if check_mode:
        return untried("not tried, since check mode starts no container", "run the playbook without `--check`, or `cai doctor`")
    if not params["ready"]:
        return untried("not tried, since the engine or Sysbox cannot be used from here", "mend what is above, then run `cai doctor` again")
    try:
        uid_map, _ = prove(params["socket"])
    except Failure as failure:
        return {"part": "isolation", "status": "fail", "found": failure.message, "hint": failure.hint}
    return {"part": "isolation", "status": "pass", "found": f"a container ran in a user namespace of its own (uid map {uid_map}) with sysbox-fs", "hint": ""}


def plain_containers(params):
    """Return the finding about running containers that are not under Sysbox; none where there are none, or the engine cannot be asked."""
    try:
        running = ask(params["socket"], "/containers/json") or [] if params["ready"] else []
        details = [ask(params["socket"], f"/containers/{item['Id']}/json") or {} for item in running]
    except PermissionError:
        return []
    runtimes = {detail.get("Name", "").lstrip("/"): detail.get("HostConfig", {}).get("Runtime", "sysbox-runc") for detail in details}
    plain = sorted(name for name, runtime in runtimes.items() if runtime != "sysbox-runc" and not name.startswith("containai-isolation-"))
    if not plain:
        return []
    found = f"not under Sysbox, and so not isolated by it: {', '.join(plain[:10])}{f' and {len(plain) - 10} more' if plain[10:] else ''}"
    return [
        {"part": "containers", "status": "warn", "found": found, "hint": "if that was not meant, make them again with `cai run` or `--runtime=sysbox-runc`"}
    ]


def untried(found, hint):
    return {"part": "isolation", "status": "unknown", "found": found, "hint": hint}


def weaknesses(params):
    """Return the finding about the advisories that concern the installed Sysbox; none where there are none."""
    version, found = open_ones(params["advisories"]) if params["advisories"] else (None, [])
    if not found:
        return []
    return [{"part": "Sysbox advisories", "status": "warn", "found": told(version, found), "hint": way(found, params["known"])}]


def main():
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "advisories": {"type": "list", "elements": "dict", "default": []},
            "known": {"type": "list", "elements": "str", "default": []},
            "warn_only": {"type": "bool", "default": False},
            "report": {"type": "bool", "default": False},
            "ready": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    hold(module)
    if module.params["report"]:
        found = [report(module.params, module.check_mode), *plain_containers(module.params), *weaknesses(module.params)]
        module.exit_json(changed=False, isolated=False, findings=found)
    for weak in weaknesses(module.params):
        module.warn(f"{weak['found']} To mend that, {weak['hint']}.")
    if module.check_mode:
        module.exit_json(changed=False, isolated=False)
    try:
        uid_map, default = prove(module.params["socket"])
    except Failure as failure:
        if not module.params["warn_only"]:
            module.fail_json(**failure.told, isolated=False)
        module.warn(f"{failure.message} That was to be expected: this WSL has a seccomp conflict, and --force was given. Remedy: {failure.hint}")
        failed = {"part": "isolation", "status": "fail", "found": failure.message, "hint": failure.hint}
        module.exit_json(changed=False, isolated=False, findings=[failed])
    if default == "sysbox-runc":
        module.warn("The engine's default runtime is sysbox-runc, by somebody's setting in daemon.json; it was left so.")
    module.exit_json(changed=False, isolated=True, uid_map=uid_map)


if __name__ == "__main__":
    main()
