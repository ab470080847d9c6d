"""Whether KVM works here, found out by trying; where it does not, QEMU emulates."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

from tests.hosts.shell import say

from . import emulator
from .user import User

# Lima takes KVM when the device is there, usable or not, and has no setting for it.
_WRAPPER = """#!/bin/bash
# Made by the tests: KVM does not work here, and Lima asks for it.
words=() before=
for word in "$@"; do
  word=${word/accel=kvm/accel=tcg,dump-guest-core=off}
  [[ $before = -cpu && $word = host* ]] && word=max
  # Nobody's data: the host need not write what the guest flushes.
  [[ $word = *,id=boot-disk ]] && word+=,cache=unsafe
  words+=("$word") before=$word
done
exec @QEMU@ "${words[@]}"
"""
SECONDS = 25


def kvm_works(user: User, kernel: Path) -> bool:
    """Boot the guest's kernel under KVM until it says something; some machines' /dev/kvm opens, and hangs."""
    if user.run(["test", "-r", "/dev/kvm", "-a", "-w", "/dev/kvm"]).returncode != 0:
        return False
    words = [
        "qemu-system-x86_64",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "512",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ]
    words += ["-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    with subprocess.Popen(
        user.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        seen, end = b"", time.monotonic() + SECONDS
        while time.monotonic() < end and process.poll() is None and b"Kernel panic" not in seen:
            seen += process.stdout.read() or b""
            time.sleep(0.2)
        process.kill()
    return b"Kernel panic" in seen


def environment(user: User, kernel: Path, room: Path) -> dict[str, str]:
    """What Lima's environment needs here."""
    if kvm_works(user, kernel):
        say("KVM works: the VM runs at full speed")
        return {}
    say("KVM does not work here: the VM is emulated (TCG), about ten times slower")
    wrapper = room / "qemu-tcg"
    wrapper.write_text(_WRAPPER.replace("@QEMU@", shlex.join(emulator.words(room))))
    wrapper.chmod(0o755)
    return {"QEMU_SYSTEM_X86_64": str(wrapper)}
