"""The files that setup puts beside Sysbox's own units: which engine it asks, the repair of owners, and a second try of a start that hung."""

from __future__ import annotations

import os

from ansible.module_utils.containai.record import Record, read, replace

SYSTEMD = "/etc/systemd/system"
PROGRAMS = "/usr/local/libexec/containai"
MADE = "# Made by cai."


def wanted(socket, data_roots, program):
    """Return {path: (text, mode)}."""
    repair = f"{PROGRAMS}/repair-layers"
    return {
        repair: (program, 0o755),
        f"{SYSTEMD}/containai-sysbox-repair.service": (
            f"{MADE}\n"
            "[Unit]\n"
            "Description=Owners of the files of containers whose Sysbox was killed\n"
            "Before=sysbox-mgr.service\n"
            f"RequiresMountsFor={' '.join(data_roots)}\n\n"
            "[Service]\n"
            "Type=oneshot\n"
            f"ExecStart={repair} {' '.join(data_roots)}\n",
            0o644,
        ),
        f"{SYSTEMD}/sysbox-mgr.service.d/10-containai.conf": (
            f"{MADE} sysbox-mgr asks Docker about its containers, and the default socket may be another engine's.\n"
            "[Unit]\n"
            "Wants=containai-sysbox-repair.service\n"
            "After=containai-sysbox-repair.service\n\n"
            "[Service]\n"
            f"Environment=DOCKER_HOST=unix://{socket}\n",
            0o644,
        ),
        f"{SYSTEMD}/sysbox-fs.service.d/10-containai.conf": (
            f"{MADE} Its start hangs now and then, and runs into its time limit; a second one does not.\n[Unit]\nOnFailure=containai-sysbox-retry.service\n",
            0o644,
        ),
        f"{SYSTEMD}/containai-sysbox-retry.service": (
            f"{MADE} Once after each boot, and only after a start that ran into its time limit: nothing runs under Sysbox then.\n"
            "[Unit]\n"
            "Description=A second start of Sysbox\n"
            "Before=containai-docker.service docker.service\n"
            "ConditionPathExists=!/run/containai-sysbox-retried\n\n"
            "[Service]\n"
            "Type=oneshot\n"
            "TimeoutStartSec=120\n"
            'ExecStart=/bin/sh -c \'[ "$$(systemctl show --property=Result --value sysbox-fs.service)" = timeout ] || exit 0;'
            " touch /run/containai-sysbox-retried; systemctl reset-failed sysbox-fs.service sysbox.service;"
            " exec systemctl start sysbox.service'\n",
            0o644,
        ),
    }


class Files:
    """Those files as they are and as they should be."""

    def __init__(self, files):
        self.drifted = []
        for path, (text, mode) in files.items():
            there = read(path)
            if there != text.encode() or (os.stat(path).st_mode & 0o777) != mode:
                self.drifted.append((path, there, text.encode(), mode))

    @property
    def actions(self):
        return [{"verb": "create" if there is None else "change", "what": path} for path, there, _, _ in self.drifted]

    @property
    def diff(self):
        return [
            {"before_header": path, "after_header": path, "before": (there or b"").decode("utf-8", "replace"), "after": text.decode()}
            for path, there, text, _ in self.drifted
        ]

    def write(self):
        record = Record()
        for path, there, text, _ in self.drifted:
            record.note_file(path, there, text)
        record.save()
        for path, _, text, mode in self.drifted:
            replace(path, text, mode)
            os.chmod(path, mode)
