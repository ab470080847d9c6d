"""One user's docker contexts: read where the docker CLI keeps them, changed by the CLI, kept and put back as that user."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil

from ansible.module_utils.containai import process
from ansible.module_utils.containai.docker_cli import find
from ansible.module_utils.containai.errors import Failure

HOMEBREW = "/opt/homebrew/bin"
PROGRAMS = ("docker", "docker.containai")  # the second: the package's CLI, set aside where Docker Desktop has the name
PARTS = ("meta", "tls")


def key_of(name):
    """The name of the folders in which the CLI keeps a context."""
    return hashlib.sha256(name.encode()).hexdigest()


class Contexts:
    """One user's docker contexts."""

    def __init__(self, user, config_dir, program=""):
        self.program = program
        user = user or (os.environ.get("SUDO_USER", "") if os.getuid() == 0 else "")
        self.entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
        same = self.entry.pw_uid == os.getuid()
        home = os.environ.get("HOME", self.entry.pw_dir) if same else self.entry.pw_dir
        self.folder = config_dir or os.path.join(home, ".docker")
        self.top = os.path.join(self.folder, "contexts")
        self.identity = {} if same else {"user": self.entry.pw_uid, "group": self.entry.pw_gid, "extra_groups": []}
        self.path = os.pathsep.join([process.PATH, HOMEBREW])
        self.environment = {"PATH": self.path, "HOME": home, "DOCKER_CONFIG": self.folder, "LC_ALL": "C"}

    def read(self, name):
        """Return {endpoint, description, tls} of a context, {} where it is damaged, None where there is none."""
        try:
            with open(os.path.join(self.folder, "contexts", "meta", key_of(name), "meta.json"), encoding="utf-8") as handle:
                data = json.load(handle)
            endpoint = data["Endpoints"]["docker"]
            return {
                "endpoint": endpoint.get("Host", ""),
                "description": data.get("Metadata", {}).get("Description", ""),
                "tls": bool(endpoint.get("SkipTLSVerify")),
            }
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def active(self):
        try:
            with open(os.path.join(self.folder, "config.json"), encoding="utf-8") as handle:
                return json.load(handle).get("currentContext", "default")
        except (OSError, ValueError, AttributeError):
            return "default"

    def as_user(self, *argv, data=None):
        """Run a program as the user, whose links may lead to files that are root's alone."""
        source = {} if data is None else {"input": data}
        return process.run(argv, text=False, cwd="/", env=self.environment, **source, **self.identity)

    def erase(self, name):
        """Remove a context's own two folders: `docker context rm` wants to read a damaged one first, even with --force."""
        there = [os.path.join(self.top, part) for part in self._parts(name)]
        if there:
            self.as_user("rm", "-rf", "--", *there)

    def pack(self, name):
        """Return a context's own folders, certificates too, as a tar archive."""
        return self._tar("-c", *self._parts(name))

    def _parts(self, name):
        """A context's own folders, as far as they are there, below the top."""
        parts = [f"{part}/{key_of(name)}" for part in PARTS]
        return [part for part in parts if os.path.lexists(os.path.join(self.top, part))]

    def unpack(self, name, data):
        """Put a context back as it was packed."""
        self.erase(name)
        self._tar("-x", data=data)

    def _tar(self, verb, *more, data=None):
        top = self.top
        result = self.as_user("tar", verb, "-p", "-f", "-", "-C", top, *more, data=data)
        if result.returncode != 0:
            reason = result.stderr.decode("utf-8", "replace").strip().splitlines()[:1] or ["no reason given"]
            raise Failure(f"The docker contexts in {top} cannot be used: {ascii(reason[0])[1:-1]}.", f"run `ls -ld {top}`, mend what it shows, then try again")
        return result.stdout

    def tidy(self):
        """Remove the folders that the CLI made for its first context, where nothing is in them."""
        for part in ("contexts/meta", "contexts/tls", "contexts", ""):
            try:
                os.rmdir(os.path.join(self.folder, part))
            except OSError:  # not empty, or not there
                continue

    def docker(self, *argv):
        program = shutil.which(self.program, path=self.path) if self.program else find(PROGRAMS, self.path)
        if program is None:
            get = "brew install docker" if os.uname().sysname == "Darwin" else "sudo apt-get install docker-cli"
            raise Failure("There is no docker CLI, which keeps the contexts.", f"run `{get}` (or start Docker Desktop), then try again")
        result = self.as_user(program, "context", *argv)
        if result.returncode != 0:
            reason = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise Failure(
                f"`docker context {argv[0]}` failed: {reason[0]}",
                f"check that {self.entry.pw_name} may write {self.folder} (`ls -ld {self.folder}`), then try again",
            )

    def remove(self, name):
        """Remove a context, whole or damaged, and the folders that it leaves empty."""
        if self.read(name) == {}:
            self.erase(name)
        else:
            self.docker("rm", "--force", name)
        self.tidy()


def refuse_active(contexts, name):
    if contexts.active() == name:
        raise Failure(
            f"The context {name} is the active one, which docker does not remove.", "run `docker context use default`, then try again", "precondition"
        )


def show(state):
    return "" if state is None else "".join(f"{key}: {value}\n" for key, value in state.items() if key != "tls") or "(damaged)\n"
