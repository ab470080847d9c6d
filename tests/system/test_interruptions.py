"""Runs that are killed, interrupted or met by another: the next one succeeds, and nothing of the dead one is left."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pexpect
import pytest

from tests.hosts import host
from tests.hosts.shell import soonest
from tests.system import snapshot
from tests.system.box import VENV, Box, quoted
from tests.system.running import SETUP, Running

PACKAGES, FILES, SYSBOX, RUNTIME, START, VERIFY, CONTEXT = (
    "Install Docker's packages", "Write the secure engine's units and programs", "Install Sysbox", "Add the Sysbox runtime to daemon.json",
    "Start the secure engine", "Verify the isolation of a Sysbox container", "Create the docker context",
)  # fmt: skip
# Ansible, its modules (which it hands to a bare interpreter), and what those of the package steps start, whoever's they are.
STRAYS = "pgrep -af '[a]nsible playbook|/python3[.0-9]* *$|^(/usr/bin/)?(apt-get|dpkg)( |$)'"


@pytest.fixture
def box(hosts) -> Iterator[Box]:
    """A host of the test's own."""
    made: Box = hosts("killed")
    yield made
    hosts.drop(made.name)


@pytest.fixture
def pristine(box):
    return box.snapshot()


def leftovers(box: Box) -> str:
    return box.sh(
        "find /etc /var/lib /usr/local /home/dev /run -xdev -not -path '/home/dev/venv/*' '(' -name '.containai-*' -o -name 'containai-shadow-*' -o -name '.download-*' ')'"
    )


def gone(box: Box, pristine: dict[str, str]) -> list[str]:
    box.cai("uninstall", "--yes", "--purge").expect(0)
    # Nobody can tidy up after SIGKILL: the settings of the killed run, and a module's own code, stay in a private temporary folder.
    kept = box.sh("find /tmp/cai-* /tmp/ansible_* -printf '%m %u %p\n'", check=False)
    box.sh("rm -rf /tmp/cai-* /tmp/ansible_*")
    tops = [line for line in kept.splitlines() if line.count("/") == 2]
    assert [line for line in tops if not line.startswith(("700 dev /tmp/cai-", "700 root /tmp/ansible_"))] == [], kept
    difference = snapshot.difference(pristine, box.snapshot())
    print("after uninstall:", *(difference or ["no difference"]), sep="\n  ")
    return difference


@pytest.mark.slow
def test_these_tests_kill_nobody_where_a_run_has_ended(box: Box):
    running = Running(box, "/bin/true")
    assert running.end() == 0
    assert running.kill("module") == "it has ended"


POINTS = [
    ("cai", PACKAGES), ("machine", PACKAGES), ("module", FILES), ("cai", SYSBOX), ("module", SYSBOX), ("module", RUNTIME), ("machine", START), ("ansible", VERIFY),
]  # fmt: skip


@pytest.mark.slow  # `make faults-telling` has such a row, and CI runs it
@pytest.mark.parametrize(
    ("victim", "step"), POINTS, ids=[f"{victim}-{step.replace(' ', '-')}" for victim, step in POINTS]
)
def test_after_a_killed_run_the_next_one_succeeds(box: Box, pristine, victim, step):
    running = Running(box)
    running.until(f"{step}] ")
    if victim == "machine":
        print(f"rebooted in {host.reboot(box.name):.1f} s")
        running.abandon()
    else:
        print(running.kill(victim))
        code = running.end()
        print(f"{victim} killed in “{step}”: exit {code}\n" + "\n".join(running.said.splitlines()[-6:]))
        assert code != 0
        assert "Traceback" not in running.said
    done = box.setup()
    print(f"next run: {done.seconds:.1f} s")
    assert box.isolated()
    assert box.active_context() == "default"
    box.converged()
    left = leftovers(box)
    print(f"left over: {left or 'nothing'}")
    assert [path for path in left.splitlines() if not path.startswith("/run/")] == []
    assert gone(box, pristine) == []


@pytest.mark.slow
@pytest.mark.parametrize(("step", "there"), [(SYSBOX, "fuse3"), (PACKAGES, "docker.io")])
def test_a_setup_that_was_killed_is_taken_back_without_another_setup(box: Box, pristine, step, there):
    """Without its module, apt goes on: the uninstall comes while packages still appear."""
    running = Running(box)
    running.until(f"{step}] ")
    box.sh(f"until dpkg-query -W {there} 2>/dev/null; do sleep 0.02; done")
    print(running.kill("module"))
    assert running.end() != 0
    assert gone(box, pristine) == []
    assert leftovers(box) == ""
    assert box.sh("find /run/systemd/system -name 'docker*' -type l") == ""


def test_two_runs_at_once_one_refuses_and_names_the_other(hosts, packages):
    box: Box = hosts("two", state="converged")
    path, sha256 = packages["0.7.0"]
    other = quoted(sysbox_version="0.7.0", sysbox_deb=path, sysbox_sha256={"amd64": sha256}, sysbox_downgrade=True)
    running = Running(box, *SETUP, *other)  # long enough for all that comes meanwhile
    running.until(f"{PACKAGES}] ")
    pid = box.sh(f"systemctl show -p MainPID --value {running.unit}")
    before = box.sh("ls /home/dev/.local/state/containai/runs; cat /home/dev/.local/state/containai/lock")
    for _ in range(3):
        second = box.cai("setup")
        print(second.text)
        second.expect(3, pid, "/.local/state/containai/runs/")
        assert running.process.poll() is None, "it waited instead"
    assert box.sh("ls /home/dev/.local/state/containai/runs; cat /home/dev/.local/state/containai/lock") == before
    as_root = box.user("sudo", f"{VENV}/bin/cai", "setup")
    print(as_root.text)
    as_root.expect(3, pid)
    # No other user can open the lock of the machine, and so none can hold it.
    assert box.user("flock", "--nonblock", "/run/containai.lock", "true", user="nobody").code != 0
    assert box.sh("stat -c '%a %U' /run/containai.lock") == "600 root"
    box.cai("doctor")  # looking is allowed meanwhile
    assert running.end() == 0, running.said
    hosts.drop(box.name)


def interrupt(box: Box, pattern: str, *arguments: str, again: bool = False) -> None:
    assert soonest(3, lambda: _interrupt(box, pattern, *arguments, again=again)) < 3


def _interrupt(box: Box, pattern: str, *arguments: str, again: bool) -> float:
    child = box.person(*arguments)
    child.expect(pattern)
    start = time.monotonic()
    child.sendintr()
    while again and child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0.1):  # into the clean-up, until all is over
        child.sendintr()
    text = child.before if again else child.read()
    took = time.monotonic() - start
    child.close()
    print(f"Ctrl-C in {pattern!r}: {took:.2f} s, exit {child.exitstatus}\n{text[-400:]}")
    assert child.exitstatus == 130, text
    assert "Interrupted" in text
    assert "Traceback" not in text
    assert box.sh(STRAYS, check=False) == ""
    return took


@pytest.mark.slow
def test_ctrl_c_ends_an_upgrade_soon_and_the_next_run_succeeds(hosts):
    box: Box = hosts("interrupted", state="older-sysbox")
    interrupt(box, "Install Sysbox", "setup")
    box.setup()
    box.converged()
    assert box.isolated()
    hosts.drop(box.name)


@pytest.mark.slow
def test_ctrl_c_in_each_phase_of_setup_and_in_an_uninstall_and_the_next_one_succeeds(box: Box, pristine):
    for step in ("Check that this host", PACKAGES, "Install Sysbox", "Bring|Start the secure engine"):
        interrupt(box, step, "setup")
    interrupt(box, "Install Sysbox", "setup", again=True)
    box.setup()
    interrupt(box, "Verify the isolation", "setup")
    box.setup()
    box.converged()
    assert box.isolated()
    interrupt(box, "Remove Sysbox", "uninstall", "--yes", "--purge")
    assert gone(box, pristine) == []


def test_ctrl_c_at_the_question_for_the_password_and_in_a_dry_run_leaves_nothing(hosts):
    box: Box = hosts("asked", trusted=False)
    before = box.snapshot(times=True, ignore=())
    interrupt(box, "Look at|Check that|Install", "setup", "--dry-run")
    assert snapshot.difference(before, box.snapshot(times=True, ignore=())) == []
    interrupt(box, "password for dev: ", "setup")
    hosts.drop(box.name)
