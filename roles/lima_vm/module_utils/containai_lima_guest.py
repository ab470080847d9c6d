"""The guest of one Lima instance, reached over ssh; no terminal, a time limit on everything."""

from __future__ import annotations

import contextlib
import os
import shlex

from ansible.module_utils.containai.process import attempt

SOCKET = "/var/run/docker.sock"
PING = (
    f'import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("{SOCKET}"); '
    's.sendall(b"GET /_ping HTTP/1.0\\r\\n\\r\\n"); raise SystemExit(b" 200 " not in s.recv(64))'
)
# Not the connection that the host agent holds: it may be dead while the guest is well.
OF_ITS_OWN = ("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15")
UNREACHABLE = 255  # ssh's own exit code where it does not get there


class Guest:
    """The guest behind the `ssh_config` that Lima writes for the instance `name`."""

    def __init__(self, name, ssh_config, environment):
        self.name, self.ssh_config, self.environment = name, ssh_config, environment

    def run(self, command, timeout=45):
        """Exit code of `command` in the guest; UNREACHABLE where ssh does not get there."""
        return self._ssh(*OF_ITS_OWN, f"lima-{self.name}", command, timeout=timeout)

    def engine(self):
        """up, down, or unreachable: Docker as the guest itself sees it."""
        code = self.run(f"sudo -n python3 -c {shlex.quote(PING)}")
        return {0: "up", UNREACHABLE: "unreachable"}.get(code, "down")

    def forward(self, path):
        """Lead the socket `path` to the guest's Docker again, over the connection that the host agent holds; False where that is dead."""
        way = ["-L", f"{path}:{SOCKET}", f"lima-{self.name}"]
        self._ssh("-O", "cancel", *way)  # what ssh still believes to lead it keeps it from doing so
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return self._ssh("-O", "forward", *way) == 0

    def _ssh(self, *arguments, timeout=45):
        done = attempt(["ssh", "-F", self.ssh_config, *arguments], env=self.environment, timeout=timeout)
        return done.returncode if done else UNREACHABLE
