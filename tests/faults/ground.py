"""The host that all faults happen on: prepared once, and its start state and its finished state known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.faults.neighbour import Neighbour
from tests.hosts import host
from tests.system import snapshot, stage
from tests.system.box import CONFIG, VENV, Done

SETUP = ("setup",)
UNINSTALL = ("uninstall", "--yes", "--purge")
# A module that is killed leaves the private folder it was unpacked into: Ansible's, and the business of whoever keeps /tmp clean.
UNPACKED = "/tmp/ansible_"
# What a run over ssh leaves with its own Ansible, and what the tests put there.
NOT_OURS = (
    UNPACKED,
    "/home/dev/.ansible",
    "/home/dev/.ssh",
    "/home/dev/.local",
    "/home/dev/.sudo_as_admin_successful",
    "/root/remembered.json",
    "/tmp/cai-",
    "/root/.local",
)
LEFTOVERS = (
    "find /etc /usr/local /var/lib /home/dev /run /tmp /opt -xdev -not -path '/home/dev/venv/*' -not -path '/var/lib/docker*'"
    " '(' -name '.containai-*' -o -name 'containai-shadow-*' -o -name '.download-*' -o -name 'installer-scr.*' ')';"
    " find /run/systemd/system -name 'docker*' -type l; mount | grep -F shadow; true"
)
# Ansible, and its modules, which it hands to a bare interpreter.
STRAYS = "pgrep -af '[a]nsible.playbook|/python3[.0-9]* *$'; true"
CONNECTION_KEY = "/home/dev/.ssh/id_ed25519"
HASHES = r"""
import hashlib, json, sys
found = {}
for path in json.loads(sys.argv[1]):
    try:
        found[path] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    except FileNotFoundError:
        found[path] = None
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Task:
    """A task that changed the host in the run that nothing disturbed, and how long it took."""

    name: str
    seconds: float


def changing(document: dict[str, Any]) -> list[Task]:
    """The tasks that changed the host, by the run's own events."""
    return [Task(step["name"], step["seconds"]) for step in document["steps"] if step["status"] == "changed"]


class Ground:
    """One host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.neighbour = Neighbour()
        self.pristine: dict[str, str] = {}
        self.files: dict[str, set[str | None]] = {}
        self.setup_tasks: list[Task] = []
        self.uninstall_tasks: list[Task] = []
        self.reported = 0

    def build(self) -> None:
        """Bring it to the start state, and see one run of each kind that nothing disturbs."""
        self.box = box = stage.start(self.name, "bookworm")
        box.sh("apt-get -qq update")
        self.neighbour.install(box)
        box.sh(
            "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends openssh-server >/dev/null 2>&1"
        )
        # Something for “Install Docker's packages” to do, beside an engine that is there.
        box.sh("DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y iproute2 >/dev/null")
        box.sh(
            f"su dev -c \"ssh-keygen -q -t ed25519 -N '' -f {CONNECTION_KEY} && cat {CONNECTION_KEY}.pub >~/.ssh/authorized_keys"
            ' && ssh -o StrictHostKeyChecking=accept-new 127.0.0.1 true"'
        )
        self.pristine = self.snapshot()
        self._learn()

    def _learn(self) -> None:
        settled = self.setup()
        assert settled.code == 0, settled.text
        self.setup_tasks = changing(settled.document)
        paths = [*json.loads(self.box.sh("cat /var/lib/containai/record.json"))["files"]]
        whole = self.hashes(paths)
        self.box.converged()
        gone = self.box.cai(*UNINSTALL, "--json")
        assert gone.code == 0, gone.text
        self.uninstall_tasks = changing(gone.document)
        before = self.hashes(paths)
        self.files = {path: {whole[path], before[path]} for path in paths}
        assert self.difference() == []

    def setup(self, *more: str) -> Done:
        """`cai setup --json`, whatever comes of it."""
        return self.box.cai(*SETUP, "--json", *more)

    def fleet(self, playbook: str, *more: str) -> tuple[str, ...]:
        """The same playbook over ssh, as an ops team runs it: the words to run."""
        line = (
            f'cd "$({VENV}/bin/cai path)" && exec ansible-playbook -v -i 127.0.0.1, -e ansible_python_interpreter=/usr/bin/python3'
            f" -e @{CONFIG} playbooks/{playbook}.yml {' '.join(more)}"
        )
        return ("bash", "-c", line)

    def reboot(self) -> None:
        """Reboot; the other engine is down meanwhile, and nobody is to blame for that."""
        self.neighbour.pause()
        host.reboot(self.box.name)
        self.neighbour.resume()

    def recover(self) -> None:
        """After a failed row: make the start state again, on a new host where it must be, so that the next row means something."""
        self.box.cai(*UNINSTALL)
        self.box.sh("rm -rf /tmp/cai-* /run/containai-shadow-*", check=False)
        if self.after_uninstall():
            self.neighbour.pause()
            self.build()

    def snapshot(self) -> dict[str, str]:
        """What the file system holds."""
        return self.box.snapshot(ignore=NOT_OURS)

    def difference(self) -> list[str]:
        """What is not as in the start state."""
        return snapshot.difference(self.pristine, self.snapshot())

    def hashes(self, paths: list[str]) -> dict[str, str | None]:
        """sha256 by path."""
        return dict(json.loads(self.box.run("python3", "-IS", "-", json.dumps(paths), stdin=HASHES)))

    # --- the invariants ---

    def after_fault(self) -> list[str]:
        """Whatever a run that came to grief may not leave."""
        found = [
            f"half-written: {path}" for path, now in self.hashes([*self.files]).items() if now not in self.files[path]
        ]
        if not self.box.ok(
            "test ! -e /var/lib/containai/record.json || python3 -m json.tool /var/lib/containai/record.json"
        ):
            found.append("half-written: the record")
        return [*found, *self.other_engine()]

    def after_success(self) -> list[str]:
        """Whatever the successful run after it may not leave, and what it must."""
        again = self.setup()
        if again.code != 0:
            return [f"a further run fails: {again.text[-300:]}"]
        found = [f"a further run changes: {task.name}" for task in changing(again.document)]
        found += [f"a further run does: {action['what']}" for action in again.document["actions"]]
        found += [f"left over: {line}" for line in self.box.sh(LEFTOVERS).splitlines()]
        found += [f"still at work: {line}" for line in self.box.sh(STRAYS).splitlines()]
        return [*found, *self.other_engine()]

    def after_uninstall(self) -> list[str]:
        """Whatever the successful uninstall may not leave."""
        found = [f"not as it was: {line}" for line in self.difference()]
        found += [f"left over: {line}" for line in self.box.sh(LEFTOVERS).splitlines()]
        return [*found, *self.other_engine()]

    def other_engine(self) -> list[str]:
        """What happened to the other engine (I1); the probe's failures once."""
        failed, reasons = self.neighbour.failures()
        new, self.reported = failed - self.reported, failed
        found = [f"the other engine's port did not answer {new} times: {'; '.join(reasons)}"] if new else []
        return found + [f"the other engine: {line}" for line in self.neighbour.differences()]
