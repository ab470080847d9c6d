"""Each message of Docker and Sysbox is known by its own words, and gets the remedy of its cause."""

from __future__ import annotations

import pytest
from ansible.module_utils import containai_sysbox_symptoms as symptoms

# As they stand in reports to nestybox/sysbox and on hosts with the original; the word tells the remedy.
SAID = {
    "OCI runtime create failed: container_linux.go:439: loading seccomp notification rules: device or resource busy": "networkingMode=nat",
    'OCI runtime create failed: namespace {"time" ""} does not exist: unknown': "sysbox_version=0.7.1",
    "OCI runtime create failed: runc create failed: nsexec: failed to unshare user namespace: No space left on device": "user.max_user_namespaces",
    'OCI runtime exec failed: exec failed: unsafe procfs detected: openat2 "/proc/./self/attr": invalid cross-device link': "names containers whose Sysbox ended",
    "mount helper error: fusermount3: mount failed: Permission denied": "/etc/apparmor.d/local/fusermount3",
    'audit: type=1400 apparmor="DENIED" operation="mount" profile="fusermount3" name="/var/lib/sysboxfs/x/"': "/etc/apparmor.d/local/fusermount3",
    'level=error msg="fusermount: exec: \\"fusermount\\": executable file not found in $PATH"': "apt-get install fuse3",
    'level=fatal msg="sysbox data root (/var/lib/sysbox) can\'t be on overlayfs"': "on ext4, xfs or btrfs",
    "stat /var/lib/sysboxfs/1: transport endpoint is not connected": "sysbox_restart_containers=true",
    "failed to pre-register container with sysbox-fs: rpc error: code = Internal desc = Initialization error for container-id": "a killed sysbox-fs has left",
    "rpc error: code = AlreadyExists desc = Container 1 already pre-registered": "a killed sysbox-fs has left",
    "open /proc/modules: no such file or directory": "sysbox_version=0.7.2",
    "invalid subuid range: found 2 entries for user sysbox": "/etc/subuid",
    "write /var/lib/sysbox/x: no space left on device": "df -h",
    "failed to register with sysbox-mgr: dial unix /run/sysbox/sysmgr.sock: connect: no such file or directory": "journalctl -u sysbox-mgr",
    "failed to pre-register with sysbox-fs: rpc error: code = DeadlineExceeded desc = context deadline exceeded": "journalctl -u sysbox-fs",
    "unknown or invalid runtime name: sysbox-runc": "adds the runtime",
}


@pytest.mark.parametrize(("message", "word"), SAID.items(), ids=[text[-30:] for text in SAID])
def test_a_message_has_the_remedy_of_its_cause(message: str, word: str) -> None:
    remedy = symptoms.hint_for(f"docker: Error response from daemon:\n{message}.")
    assert word in remedy
    assert "`" in remedy


def test_no_remedy_restarts_sysbox_under_containers() -> None:
    assert not [
        one for one in (*(remedy for _, remedy, _ in symptoms.SYMPTOMS), symptoms.OTHERWISE) if "restart sysbox" in one
    ]


def test_every_row_is_met_by_a_message_and_has_a_source() -> None:
    met = {symptoms.hint_for(message) for message in SAID}
    assert met == {remedy for _, remedy, _ in symptoms.SYMPTOMS}
    assert all(len(source) > 5 for _, _, source in symptoms.SYMPTOMS)


@pytest.mark.parametrize(
    "message",
    [
        "OCI runtime create failed: cannot join the network namespace: unknown",  # "time" stands in "runtime"
        "error mounting seccomp profile: permission denied",
        "exec: sleep: executable file not found in $PATH",
    ],
)
def test_words_of_another_cause_mean_nothing(message: str) -> None:
    assert symptoms.hint_for(message) == symptoms.OTHERWISE


def test_the_machines_own_remedy_for_a_refused_listener() -> None:
    assert symptoms.hint_for("seccomp: device or resource busy", seccomp=lambda: "ask `wslinfo`") == "ask `wslinfo`"
    assert symptoms.hint_for("no space left on device", seccomp=lambda: "ask `wslinfo`") != "ask `wslinfo`"
