"""The Windows user's folder, as a WSL distro sees it, and how a file is replaced there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from ansible.module_utils.containai import process
from ansible.module_utils.containai.errors import Failure
from ansible.module_utils.containai.process import attempt, which

CMD = r"C:\Windows\System32\cmd.exe"
MEND = (
    "name it with `-e cai_windows_profile=/mnt/c/Users/NAME`, or write the line `networkingMode=nat` below `[wsl2]` in "
    "%UserProfile%\\.wslconfig in Windows"
)


def environment():
    """Interop finds its way to Windows by a variable of the environment."""
    return {**os.environ, "PATH": process.PATH}


def wslpath(path):
    """A path of Windows as the distro sees it; empty where that drive is not mounted."""
    done = attempt(["wslpath", "-u", path], env=environment(), timeout=30) if which("wslpath") else None
    return done.stdout.strip() if done and done.returncode == 0 else ""


def ask_windows():
    """%UserProfile%, as a path of Windows."""
    program = wslpath(CMD)
    if not program or not Path(program).is_file():
        raise Failure(
            "The drive C: of Windows is not mounted in this distro, so the Windows user's .wslconfig is out of reach.",
            f"{MEND}; or mount it ([automount] in /etc/wsl.conf)",
            "precondition",
        )
    # With /u it answers in UTF-16, which holds every user's name. From its own folder: it does not like the distro's.
    words = [program, "/d", "/u", "/c", "set USERPROFILE"]
    done = attempt(words, env=environment(), cwd=Path(program).parent, timeout=60, text=False)
    lines = (done.stdout if done else b"").decode("utf-16-le", "replace").replace("\r", "").split("\n")
    told = next((line.partition("=")[2] for line in lines if line.upper().startswith("USERPROFILE=")), "")
    if not told:
        raise Failure(
            "Windows does not tell this distro its user's folder: cmd.exe does not start here (is interop off?).",
            MEND,
            "precondition",
        )
    return told


def profile_folder(given):
    """The Windows user's folder: the given one, or the one that Windows tells."""
    told = given or ask_windows()
    folder = given or wslpath(told)
    if not folder or not Path(folder).is_dir():
        raise Failure(f"The Windows user's folder {told} is not there in this distro.", MEND, "precondition")
    return folder


def put(path, data):
    """Put data at a path of a Windows drive in one step. Mode and owner are Windows' there, and may not be set."""
    target = Path(path).resolve()
    scratch = target.with_name(f"{target.name}.{secrets.token_hex(6)}.new")
    try:
        with scratch.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
