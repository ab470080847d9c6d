#!/usr/bin/python
"""Prove, from the host and through the user's docker context, that the VM's engine isolates containers."""

from __future__ import annotations

import json
import os
import subprocess
import uuid

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai.docker_cli import reason
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import run

DOCUMENTATION = r"""
module: lima_vm_engine
short_description: Run a Sysbox container in the VM over the forwarded socket
description:
  - The way a user goes, docker CLI, context, forwarded socket, engine, Sysbox, is gone once. The engine must know sysbox-runc; a container under it must
    have a user namespace of its own and a file system of sysbox-fs.
  - The image is made of the guest's own C(cat), so no registry is asked. Image and container are removed again.
options:
  docker: {type: str, required: true, description: Path of the docker CLI.}
  context: {type: str, required: true, description: The docker context.}
  ssh_config: {type: str, required: true, description: Lima's ssh.config.}
  name: {type: str, required: true, description: The Lima instance; ssh knows the guest as C(lima-NAME).}
  config_dir: {type: str, default: '', description: "The user's docker settings. Empty means C(~/.docker)."}
attributes:
  check_mode: {support: full, description: in check mode nothing is run}
  diff_mode: {support: none, description: nothing is changed}
"""
EXAMPLES = r"""
- lima_vm_engine:
    docker: /opt/homebrew/bin/docker
    context: containai-secure
    ssh_config: /Users/dev/.lima/containai-secure/ssh.config
    name: containai-secure
"""
RETURN = r"""
uid_map: {type: str, returned: success, description: the container's uid_map, sample: 0 231072 65536}
version: {type: str, returned: success, description: the engine's version, sample: 28.5.2}
"""

# A root file system of one program, as a tar: the guest's cat, what the dynamic linker loads for it, and empty folders.
ROOTFS = "tar --no-recursion -C / -chf - proc sys dev etc tmp run bin/cat $(ldd /bin/cat | grep -o '/[^ )]*') 2>/dev/null"
WHOLE_MAP = ["0", "0", "4294967295"]
# They would lead the CLI elsewhere than to the context.
ELSEWHERE = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION")
SECONDS = 180


def called(argv, data=b"", environment=None):
    """Return (exit code, output, why it failed) of a program."""
    try:
        done = run(argv, input=data, text=False, env=environment or os.environ, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"`{os.path.basename(argv[0])}` did not end well: {error}", "run `cai setup` again") from error
    return done.returncode, done.stdout, reason(done.stderr.decode("utf-8", "replace"), done.returncode)


class Cli:
    """The docker CLI with one context."""

    def __init__(self, params):
        self.argv = [params["docker"], "--context", params["context"]]
        self.vm = params["name"]
        self.environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
        if params["config_dir"]:
            self.environment["DOCKER_CONFIG"] = params["config_dir"]

    def __call__(self, *argv, data=b"", check=True):
        code, out, said = called([*self.argv, *argv], data, self.environment)
        if check and code != 0:
            hint = f"run `limactl shell {self.vm} sudo journalctl -u docker -u sysbox-mgr -u sysbox-fs -n 50`"
            raise Failure(f"`docker --context {self.argv[2]} {argv[0]}` failed: {said}", hint)
        return out.decode("utf-8", "replace")


def prove(params):
    docker, vm = Cli(params), params["name"]
    info = json.loads(docker("info", "--format", "{{json .}}"))
    if "sysbox-runc" not in info.get("Runtimes", {}):
        raise Failure("The VM's engine does not know the runtime sysbox-runc.", "run `cai setup` again, which adds it")
    code, rootfs, said = called(
        ["ssh", "-F", params["ssh_config"], "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes", f"lima-{vm}", ROOTFS]
    )
    if code == 255 or not rootfs:
        raise Failure(f"The VM cannot be reached over ssh: {said}", f"run `limactl stop {vm}; limactl start {vm}`, then `cai setup` again")
    tag = f"containai-isolation-{uuid.uuid4().hex[:12]}"
    docker("import", "-", tag, data=rootfs)
    try:
        argv = ["run", "--rm", "--name", tag, "--network", "none", "--runtime", "sysbox-runc", tag, "/bin/cat", "/proc/self/uid_map", "/proc/self/mountinfo"]
        lines = docker(*argv).splitlines()
    finally:
        docker("rm", "--force", tag, check=False)
        docker("image", "rm", "--force", tag, check=False)
    own = next((line.split() for line in lines if len(line.split()) == 3), [])
    if own in ([], WHOLE_MAP) or not any("sysboxfs" in line for line in lines):
        raise Failure(
            f"A container under sysbox-runc in the VM has the uid map {' '.join(own) or 'of nobody'} or no file system of sysbox-fs: it is not isolated.",
            f"run `cai setup` again; `limactl shell {vm} sudo journalctl -u sysbox-mgr -u sysbox-fs` says more",
        )
    return {"uid_map": " ".join(own), "version": info.get("ServerVersion", ""), "default": info.get("DefaultRuntime", "")}


def main():
    module = AnsibleModule(
        argument_spec={
            "docker": {"type": "str", "required": True},
            "context": {"type": "str", "required": True},
            "ssh_config": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "config_dir": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        found = prove(module.params)
    except Failure as problem:
        module.fail_json(**problem.told)
    if found["default"] == "sysbox-runc":
        module.warn("The VM's default runtime is sysbox-runc, by somebody's setting in its daemon.json; it was left so.")
    module.exit_json(changed=False, uid_map=found["uid_map"], version=found["version"])


if __name__ == "__main__":
    main()
