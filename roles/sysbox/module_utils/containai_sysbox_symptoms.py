"""What Docker and Sysbox say when a container does not start, and what mends it.

A row holds for a message or journal that has its text. The rows are in order: the narrow ones first, so that the cause in a journal of Sysbox wins over what
Docker shows of it ("failed to pre-register with sysbox-fs").
"""

from __future__ import annotations

import re

from ansible.module_utils.containai.process import output

UNITS = ("sysbox-fs", "sysbox-mgr")
SECCOMP = "set `networkingMode=nat` below `[wsl2]` in %UserProfile%\\.wslconfig, run `wsl --shutdown` in Windows, then `cai setup` again"
APPARMOR = (
    "run `cai setup` again, which adds rules for Sysbox to /etc/apparmor.d/local/fusermount3; if they are there already, load them with "
    "`sudo apparmor_parser --replace /etc/apparmor.d/fusermount3`"
)
# Never a bare `systemctl restart sysbox`: containers that run under it would lose the owners of their files. Setup starts it in the right order.
RESTART = "run `cai doctor`: it names the containers whose Sysbox ended, and `cai setup -e sysbox_restart_containers=true` mends them"
# (text as a regular expression, what mends it, where the text is from)
SYMPTOMS = [
    (r"seccomp.*device or resource busy", SECCOMP, "sysbox-runc, which loads its seccomp notification; microsoft/WSL#9548"),
    (
        r'namespace \{"time" ""\} does not exist',
        "this Docker needs Sysbox 0.7.1 or newer: `cai setup -e sysbox_version=0.7.1`; to keep an older one, add "
        '`"features": {"time-namespaces": false}` to daemon.json, then `cai setup`',
        "Sysbox before 0.7.1 under Docker 29.5 and newer; nestybox/sysbox#1011, #1028",
    ),
    (
        r"unshare.*user namespace|nsexec.*unshare",
        "let the kernel make user namespaces: `sudo sysctl -w user.max_user_namespaces=28633`, then `cai setup` again",
        "libcontainer's nsexec, in sysbox-runc as in runc",
    ),
    (
        r"unsafe procfs detected",
        "run `cai doctor`: it names containers whose Sysbox ended; inside a container, Sysbox 0.7.0 or newer is needed: `cai setup`",
        "runc 1.3.3 and newer inside a container; or a container whose Sysbox was restarted",
    ),
    (
        r'apparmor="DENIED".*fusermount|fusermount3?: mount failed: (permission denied|operation not permitted)',
        APPARMOR,
        "sysbox-fs on Ubuntu 25.04 and newer; nestybox/sysbox#947, #1005",
    ),
    (
        r"fusermount3?\b.*(executable file not found|no such file)",
        "run `sudo apt-get install fuse3`, then `cai setup` again",
        "sysbox-fs; nestybox/sysbox#448",
    ),
    (
        r"can'?t be on overlayfs",
        "put /var/lib/sysbox on ext4, xfs or btrfs, then run `cai setup` again",
        "sysbox-mgr at its start",
    ),
    (r"transport endpoint is not connected", RESTART, "the kernel, of a FUSE mount whose sysbox-fs has ended"),
    (
        r"already pre-registered|pre-regist.*initialization error",
        "run `cai setup` again, which takes off what a killed sysbox-fs has left; `journalctl -u sysbox-fs` says more",
        "sysbox-runc after sysbox-fs was killed",
    ),
    (
        r"/proc/modules.*no such file",
        "this kernel has no modules, which Sysbox 0.7.2 and newer allow: `cai setup -e sysbox_version=0.7.2`, and `sysbox_sha256` with that package's checksum",
        "Sysbox 0.7.1 and older",
    ),
    (
        r"subuid|subgid",
        "run `grep sysbox /etc/subuid /etc/subgid`: each file needs exactly one line `sysbox:...`; then run `cai setup` again",
        "sysbox-mgr at its start",
    ),
    (r"no space left on device", "run `df -h /var/lib /run`, make room, then `cai setup` again", "the kernel"),
    (
        r"regist.*with sysbox-mgr",
        "run `cai setup` again; `journalctl -u sysbox-mgr` says why it did not answer",
        "sysbox-runc without a sysbox-mgr; nestybox/sysbox#41",
    ),
    (
        r"regist.*with sysbox-fs|deadlineexceeded",
        "run `journalctl -u sysbox-fs` to see its reason, then `cai setup` again",
        "sysbox-runc with a sysbox-fs that hangs or cannot mount; nestybox/sysbox#266, #279",
    ),
    (r"(unknown or invalid runtime name|unknown runtime specified)", "run `cai setup` again, which adds the runtime", "dockerd"),
]
OTHERWISE = "run `cai setup` again; `journalctl -u sysbox-mgr -u sysbox-fs` says more"


def hint_for(*texts, seccomp=lambda: SECCOMP):
    """Return what mends it. `seccomp` finds the remedy for a refused listener, which depends on the machine."""
    for pattern, remedy, _ in SYMPTOMS:
        if any(re.search(pattern, text, re.IGNORECASE) for text in texts):
            return seccomp() if remedy == SECCOMP else remedy
    return OTHERWISE


def journals(since):
    """Return what sysbox-fs and sysbox-mgr have said since then (seconds since 1970); "" where it cannot be read."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--since=@{int(since)}", *(f"--unit={unit}" for unit in UNITS)]
    return output(argv, timeout=10)
