"""A Mac made of stand-ins, on which `cai` is typed: what its system has, an empty home, and what is installed when a test says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

STANDINS = Path(__file__).parent / "standins"
REPOSITORY = Path(__file__).resolve().parents[4]
ROLE = REPOSITORY / "roles" / "lima_vm"
# What the system of a Mac has anyway; neither docker nor brew nor limactl.
TOOLS = "bash cat chmod cp dirname echo env grep head id ls mkdir mv ps rm sed sh sleep stat tar test tr whoami"
# `cai` asks the kernel for its name, and is told that of a Mac; the modules ask the program `uname`, a stand-in.
AS_MACOS = REPOSITORY / "tests/vm/as_macos.py"
# Root is refused; in a user namespace it is somebody else who may still read what is root's.
UNSHARE = shutil.which("unshare") or "unshare"
SOMEBODY = [UNSHARE, "--user", "--map-user=65534", "--map-group=65534"]


def install(name: str, folder: Path, python: str = sys.executable) -> None:
    """Put a stand-in into a folder; one in Python by that interpreter, which looks for nothing but its own library."""
    first, _, rest = (STANDINS / name).read_text().partition("\n")
    (folder / name).write_text(f"{f'#!{python} -IS' if 'python' in first else first}\n{rest}")
    (folder / name).chmod(0o755)


class Mac:
    """A PATH and an empty home."""

    def __init__(self, root: Path) -> None:
        self.bin, self.home = root / "bin", root / "home"
        self.bin.mkdir()
        self.home.mkdir()
        self.tmp = root / "tmp"
        self.tmp.mkdir()
        for folder in (self.home, self.tmp):
            folder.chmod(0o777)
        self.be()
        for name in TOOLS.split():
            (self.bin / name).symlink_to(shutil.which(name) or f"/bin/{name}")
        self.settings: dict[str, str] = {}

    def be(self, **what: str) -> None:
        """Become a Mac with these properties of the stand-in; `cai` hands no such variables down."""
        text = (
            (STANDINS / "mac")
            .read_text()
            .replace("\n", "\n" + "".join(f"{key}={value}\n" for key, value in what.items()), 1)
        )
        for name in ("uname", "sw_vers", "sysctl"):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def have(self, *names: str) -> None:
        """Install these stand-ins."""
        if not (self.bin / "python3").exists():
            (self.bin / "python3").symlink_to("/usr/bin/python3")
        for name in names:
            install(name, self.bin)

    def brew(self) -> Path:
        """Install the stand-in of Homebrew, which links its programs as the original does; returns its path."""
        cellar = self.bin.with_name("cellar")
        cellar.mkdir()
        for name in ("brew", "limactl", "docker"):
            install(name, cellar)
        self.have("ssh")
        (self.bin / "brew").symlink_to(cellar / "brew")
        return self.bin / "brew"

    def lima(self, **settings: Any) -> None:
        """Tell the stand-in of limactl what goes wrong; nothing, once it is mended. A guest that ssh reaches is none of its arts."""
        (self.home / ".lima").mkdir(exist_ok=True)
        (self.home / ".lima/_standin.json").write_text(json.dumps({"guest": "unreachable", **settings}))

    def made_vm(self) -> None:
        """Have the VM that setup makes, which runs."""
        self.have("limactl")
        settings = self.tmp / "lima.yaml"
        settings.write_text("# Made by the role lima_vm\nimages: [{location: /image.qcow2}]\n")
        for words in (("create", "--name", "containai-secure", str(settings)), ("start", "containai-secure")):
            as_user = [*(SOMEBODY if os.geteuid() == 0 else []), str(self.bin / "limactl"), *words]
            subprocess.run(
                as_user, env={"HOME": str(self.home), "PATH": str(self.bin)}, check=True, capture_output=True
            )

    def end(self) -> None:
        """End the stand-ins of a VM."""
        for path in self.home.rglob("*.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)

    def cai(self, *words: str, network: bool = True) -> subprocess.CompletedProcess[str]:
        """Type the command."""
        environment = {
            "HOME": str(self.home),
            "PATH": str(self.bin),
            "PYTHONPATH": str(REPOSITORY),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.tmp),
            **self.settings,
        }
        command = [*(SOMEBODY if os.geteuid() == 0 else []), sys.executable, str(AS_MACOS), *words]
        if not network:
            command[:0] = [UNSHARE, "--net"] if os.geteuid() == 0 else [UNSHARE, "--user", "--net"]
        return subprocess.run(
            command,
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def everything(self) -> dict[str, tuple[int, int]]:
        """All that there is on this Mac, with modes and the files' times (a folder's tells of scratch that is gone as well)."""
        paths = {str(path): path.lstat() for path in sorted(self.bin.parent.rglob("*"))}
        return {
            path: (seen.st_mode, 0 if stat.S_ISDIR(seen.st_mode) else seen.st_mtime_ns) for path, seen in paths.items()
        }
