"""One Lima instance, through limactl and its folder; no terminal, no shell, a time limit on everything."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import time

from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import output, run
from ansible.module_utils.containai.redaction import mask
from ansible.module_utils.containai_lima_guest import Guest

FORWARD_SECONDS = 15
# What limactl says, and what helps.
HINTS = (
    (r"no space left", "make room (`df -h {home}` shows where), then `cai setup` again"),
    (r"digest", "the image is not the pinned one: look at `lima_vm_images`, run `limactl prune`, then `cai setup` again"),
    (
        r"status 40\d|download|no such host|dial tcp|connection refused|i/o timeout|proxyconnect",
        "check the network and `HTTPS_PROXY`, or name a mirror: `cai setup -e lima_vm_image_base_url=URL`",
    ),
    (r"exiting|exited|shut ?down|driver", "read {dir}/ha.stderr.log; `limactl start {name}` shows it live"),
    (
        r"fatal|requirement|timed? ?out|deadline|did not receive",
        "read {dir}/serial.log and {dir}/ha.stderr.log; a slow machine needs `cai setup -e lima_vm_start_timeout=3600`",
    ),
)


def says(stderr):
    """The telling text of limactl's log lines: errors when there are any, else the last line."""
    found = re.findall(r'level=(\w+) msg="((?:[^"\\]|\\.)*)"', stderr)
    texts = [text for level, text in found if level in ("error", "fatal")] or [text for _, text in found[-1:]]
    texts = [text.partition(', body=\\"')[0] for text in texts]  # the page that a server sent instead of the image
    return "\n".join(text.replace('\\"', '"').replace("\\n", "\n") for text in texts) or "\n".join(stderr.strip().splitlines()[-3:])


def version(limactl):
    """limactl's own version as text, "" where it does not say; it runs for no one called root."""
    match = re.search(r"version v?(\d+(?:\.\d+)*)", output([limactl, "--version"], env=os.environ, timeout=60))
    return match[1] if match else ""


def answers(path, timeout=10):
    """Whether a Docker engine answers on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect(path)
            channel.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in channel.recv(64)
        except OSError:
            return False


def tail(path, lines=12):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\n]", "", handle.read()[-20000:])
    except OSError:
        return ""
    return mask("\n".join([line for line in map(plain, text.splitlines()) if line.strip()][-lines:]))


def plain(line):
    """A line of the host agent's log, which is JSON, as text; its debug lines only where they are QEMU's own words."""
    try:
        entry = json.loads(line)
        text = entry["msg"] + (f": {entry['error']}" if entry.get("error") else "")
    except (ValueError, KeyError, TypeError):
        return line
    return "" if entry.get("level") == "debug" and "[stderr]" not in text else text


class Lima:
    """The instance `name` below `home`; `limactl` is the program's absolute path."""

    def __init__(self, limactl, home, name):
        self.limactl, self.home, self.name = limactl, home, name
        self.dir = os.path.join(home, name)
        self.yaml = os.path.join(self.dir, "lima.yaml")
        self.socket = os.path.join(self.dir, "sock", "docker.sock")
        self.ssh_config = os.path.join(self.dir, "ssh.config")
        self.log = []
        path = os.pathsep.join(
            [os.path.dirname(limactl), os.environ.get("PATH", ""), "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        )
        self.environment = {**os.environ, "LIMA_HOME": home, "PATH": path}
        self.guest = Guest(name, self.ssh_config, self.environment)

    def run(self, *argv, timeout=120, check=True):
        """Run limactl; its output is kept in `log`. Raises Failure with what it said, when `check`."""
        command, short = shlex.join(["limactl", *argv]), f"limactl {argv[0]}"  # whose file is gone when a message is read
        try:
            done = run([self.limactl, *argv], env=self.environment, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"`{short}` did not end within {timeout} seconds.", self.hint("timeout")) from error
        except OSError as error:
            raise Failure(f"{self.limactl} cannot be run: {error.strerror}.", "run `brew reinstall lima`, then `cai setup` again") from error
        done.stderr = mask(done.stderr)  # the proxy of its environment
        if argv[0] != "list":
            self.log += [f"$ {command}", *done.stderr.strip().splitlines(), f"(exit code {done.returncode})"]
        if check and done.returncode != 0:
            raise Failure(f"`{short}` failed: {says(done.stderr)}", self.hint(says(done.stderr)))
        return done

    def hint(self, text):
        found = next((hint for pattern, hint in HINTS if re.search(pattern, text, re.IGNORECASE)), "read {dir}/ha.stderr.log, then try `cai setup` again")
        return found.format(home=self.home, dir=self.dir, name=self.name)

    def look(self):
        """The instance as `limactl list` shows it; None where there is none. (`list NAME` fails for an unknown name, so all are listed.)"""
        found = [json.loads(line) for line in self.run("list", "--format", "json").stdout.splitlines() if line.startswith("{")]
        return next((item for item in found if item.get("name") == self.name), None)

    def status(self, settle=15.0):
        """Its status, None where there is no instance. Broken is also what Lima says while one comes up or goes down, so that is waited out."""
        end = time.monotonic() + settle
        while True:
            item = self.look()
            status = None if item is None else item.get("status", "")
            if status in (None, "Running", "Stopped") or time.monotonic() >= end:
                return status
            time.sleep(1)

    def stored(self):
        try:
            with open(self.yaml, encoding="utf-8") as handle:
                return handle.read()
        except (OSError, UnicodeDecodeError):
            return None

    def as_file(self, text, *argv, **more):
        """Run limactl with `text` as its file; the file's name must be a valid instance name."""
        with tempfile.TemporaryDirectory(prefix="cai-") as folder:
            path = os.path.join(folder, f"{self.name}.yaml")
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text)
            return self.run(*argv, path, **more)

    def validate(self, text):
        try:
            self.as_file(text, "validate")
        except Failure as error:
            raise Failure(
                f"Lima does not accept the VM's settings: {error.message}", "look at the `lima_vm_*` variables that you set", "precondition"
            ) from error

    def write(self, text):
        fd, temporary = tempfile.mkstemp(prefix="lima.yaml.", suffix=".tmp", dir=self.dir)
        with os.fdopen(fd, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self.yaml)  # mkstemp made it 0600: a proxy's password may stand in it

    def create(self, text, timeout):
        self.as_file(text, "create", "--tty=false", "--name", self.name, timeout=timeout)
        with contextlib.suppress(OSError):
            os.chmod(self.yaml, 0o600)

    def start(self, seconds):
        try:
            self.run("start", "--tty=false", "--timeout", f"{seconds}s", self.name, timeout=seconds + 120)
        except Failure as error:
            logs = [(name, tail(os.path.join(self.dir, name))) for name in ("ha.stderr.log", "serial.log", "serialv.log")]
            detail = "".join(f"\n--- the end of {os.path.join(self.dir, name)}\n{text}" for name, text in logs if text)
            # After a failed probe the VM runs on and would look healthy to the next run.
            self.run("stop", "-f", self.name, check=False)
            raise Failure(f"The VM {self.name} did not start (and is stopped now). {error.message}{detail}", error.hint) from error

    def stop(self):
        if self.run("stop", self.name, timeout=420, check=False).returncode != 0:
            self.repair()

    def forward(self):
        """Lead the Docker socket to the guest again. What runs there goes on, so this is tried before a restart; False where it did not help."""
        return self.guest.forward(self.socket) and self.wait(FORWARD_SECONDS)

    def delete(self):
        self.run("delete", "-f", self.name, timeout=300)

    def pids(self):
        """The living processes of the instance, by pid file; a number that now belongs to another program does not count."""
        found = []
        for path in glob.glob(os.path.join(glob.escape(self.dir), "*.pid")):
            with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as handle:
                pid = int(handle.read())
                command = run(["ps", "-o", "command=", "-p", str(pid)], env=self.environment).stdout
                if self.name in command and re.search(r"limactl|qemu|krunkit|lima", command):
                    found.append(pid)
        return found

    def repair(self):
        """Bring a broken instance to Stopped: shut the guest down if it still listens, end what is left, clear stale files."""
        if self.pids():
            self.power_off()
        if self.pids():
            self.run("stop", "-f", self.name, check=False)
        for pattern in ("*.pid", "*.sock", "*.tmp"):
            for path in glob.glob(os.path.join(glob.escape(self.dir), pattern)):
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def power_off(self, seconds=60):
        """Ask the guest to shut down, so that its Docker data is whole; without a host agent ssh still reaches a QEMU guest.

        Apple's virtualization runs in the host agent's own process, which is to end as well.
        """
        if self.guest.run("sudo -n systemctl --no-block poweroff") != 0:
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.pids():
            time.sleep(1)

    def wait(self, seconds):
        """Wait until Docker answers on the forwarded socket. The socket's file is there before Docker is, so the API is asked."""
        end = time.monotonic() + seconds
        while not answers(self.socket):
            if time.monotonic() >= end:
                return False
            time.sleep(0.5)
        return True
