"""A DOUBLE of a Windows host with WSL: an sshd on port 2222 of a test host, whose logins find `wsl.exe` and nothing else.

sshd is real. The double reads a command line as wsl.exe does: options up to `--`, and all that follows goes to the distro's shell as it
stands. It prints in UTF-16LE, as wsl.exe does, and ends with 255 where wsl.exe ends with -1. There are two of them:

- `install` makes a host Windows and distro at once. Its list is fixed; the distro that is entered is the host itself, by any of the names in ENTERED.
- `machine` makes a Windows host of its own, whose distros are other test hosts: --terminate and --shutdown really stop them, and a command starts
  one that is stopped. WSL's virtual machine is played: it reads .wslconfig when the first distro starts, `wslinfo` in the distros tells its mode,
  and a distro's PID 1 holds a seccomp listener in the modes in which WSL's does. The drive C: is a folder that all of them mount; `cmd.exe` on it
  tells the user's folder, and `wslpath` in the distros knows that drive.

What they cannot show: Windows' own shell and OpenSSH (quoting by cmd.exe and PowerShell), a Windows file system (locks, access lists, that a mode
cannot be set), the network of a mode, interop.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import engine, host
from ..shell import HostError

PORT = 2222
USER = "developer"
LISTED = [("Ubuntu 24.04", "Running", 2), ("Old-One", "Stopped", 1), ("docker-desktop", "Running", 2)]
ENTERED = ("Ubuntu 24.04", "Ubuntu-24.04")

MODES = {
    "nat": "none",
    "mirrored": "listener",
    "virtioproxy": "listener",
}  # what a mode makes of PID 1: kinds of tests/hosts/host.py
DRIVE = "/mnt/c"
STATE = f"{DRIVE}/wsl-double"  # of the virtual machine; files/init.sh reads the kind of PID 1 there
PROFILE = "Users/Jürgen"
ENGINE = "/opt/engine.sock"  # where a Windows host finds the engine that runs its distros

WSL_EXE = """#!/usr/bin/python3 -IS
import os, pathlib, re, subprocess, sys, time
LISTED, ENTERED, DISTROS, MODES = {listed!r}, {entered!r}, {distros!r}, {modes!r}
PROFILE, STATE, ENGINE = pathlib.Path({profile!r}), pathlib.Path({state!r}), "unix://{engine}"

def say(text):
    sys.stdout.buffer.write(text.replace("\\n", "\\r\\n").encode("utf-16-le"))

def refuse(text):
    say(text)
    sys.exit(255)

def docker(*words, check=True):
    done = subprocess.run(["docker", "-H", ENGINE, *words], capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"the double cannot: {{done.stderr}}")
    return done

def running():
    return [name for name, container in DISTROS.items()
            if docker("inspect", "--format", "{{{{.State.Running}}}}", container).stdout.strip() == "true"]

def boot_machine():
    # WSL reads the file when its virtual machine starts, and at no other time.
    data = (PROFILE / ".wslconfig").read_bytes() if (PROFILE / ".wslconfig").exists() else b""
    text = data.decode("utf-16" if data.startswith(b"\\xff\\xfe") else "utf-8-sig")
    given = re.search(r"(?im)^\\s*networkingMode\\s*=\\s*(\\w+)", text)
    mode = given[1].lower() if given else "nat"
    STATE.mkdir(exist_ok=True)
    (STATE / "mode").write_text(mode)
    (STATE / "kind").write_text(MODES[mode])

def start(name):
    if not running():
        boot_machine()
    container = DISTROS[name]
    docker("start", container)
    for _ in range(600):
        state = docker("exec", container, "sh", "-c",
                       "[ ! -d /run/systemd/system ] && [ -e /run/test-host/booted ] || systemctl is-system-running", check=False).stdout.strip()
        if docker("exec", container, "test", "-e", "/run/test-host/booted", check=False).returncode == 0 and state in ("", "running", "degraded"):
            return
        time.sleep(0.1)

line = os.environ.get("SSH_ORIGINAL_COMMAND", "")
with open("/var/log/wsl-double", "a") as log:
    log.write(line + "\\n")
program, _, line = line.partition(" ")
if program != "wsl.exe":
    sys.exit(f"'{{program}}' is not recognized as an internal or external command")
chosen = {{}}
while line and not line.startswith("-- "):
    word, line = re.match(r'("[^"]*"|\\S+)\\s*(.*)', line, re.DOTALL).groups()
    if word in ("--list", "--verbose", "--running", "--quiet", "--shutdown"):
        chosen[word] = True
    elif word in ("--distribution", "--user", "--terminate"):
        value, line = re.match(r'("[^"]*"|\\S+)\\s*(.*)', line, re.DOTALL).groups()
        chosen[word] = value.strip('"')
    else:
        refuse(f"Invalid command line option: {{word}}\\n")
missing = "There is no distribution with the supplied name.\\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND\\n"
if DISTROS:
    up = running()
    LISTED = [(name, "Running" if name in up else "Stopped", 2) for name in DISTROS]
    ENTERED = [*DISTROS]
if "--list" in chosen:
    if "--running" in chosen:
        LISTED = [row for row in LISTED if row[1] == "Running"]
        if not LISTED:
            refuse("There are no running distributions.\\n")
    if "--quiet" in chosen:
        say("".join(f"{{row[0]}}\\n" for row in LISTED))
        sys.exit(0)
    width = max(len(name) for name, _, _ in LISTED) + 4
    say(f"  {{'NAME':<{{width}}}}{{'STATE':<16}}VERSION\\n")
    for at, (name, state, version) in enumerate(LISTED):
        say(f"{{' ' if at else '*'}} {{name:<{{width}}}}{{state:<16}}{{version}}\\n")
    sys.exit(0)
if "--shutdown" in chosen:
    for name in running():
        docker("stop", "--time", "3", DISTROS[name])
    sys.exit(0)
name = chosen.get("--terminate", chosen.get("--distribution"))
if name not in ENTERED:
    refuse(missing)
if "--terminate" in chosen:
    docker("stop", "--time", "3", DISTROS[name])
    say("The operation completed successfully.\\n")
    sys.exit(0)
user = chosen.get("--user", "dev")
if DISTROS:
    if name not in up:
        start(name)
    os.execvp("docker", ["docker", "-H", ENGINE, "exec", "-i", "--user", user, DISTROS[name], "/bin/bash", "-c", line[3:]])
os.execvp("runuser", ["runuser", "-u", user, "--", "/bin/bash", "-c", line[3:]])
"""
# On the drive, and in the distros.
CMD_EXE = r"""#!/bin/sh
# A DOUBLE of cmd.exe: the answer to `set USERPROFILE`, in UTF-16 where it is asked for that.
[ "$*" = "/d /u /c set USERPROFILE" ] || exit 1
printf 'USERPROFILE=C:\\Users\\Jürgen\r\n' | iconv -f UTF-8 -t UTF-16LE
"""
WSLPATH = r"""#!/bin/sh
# A DOUBLE of wslpath -u, for the drive C: alone.
case $2 in
'C:\'*) printf '%s\n' "$2" | sed 's,^C:,/mnt/c,; s,\\,/,g' ;;
*) echo "wslpath: $2" >&2; exit 1 ;;
esac
"""
WSLINFO = f"""#!/bin/sh
# A DOUBLE of wslinfo: the mode that the virtual machine started in.
[ "$1" = --networking-mode ] && cat {STATE}/mode
"""
_CONFIG = f"""Port {PORT}
PidFile none
PermitRootLogin no
PasswordAuthentication no
UsePAM no
AllowUsers {USER}
ForceCommand sudo --preserve-env=SSH_ORIGINAL_COMMAND /usr/local/lib/wsl-double
"""


def install(name: str, public_key: str) -> None:
    """Make a host with the setup `sshd` a Windows host too; the key opens both its sshds, as the user `developer`."""
    _serve(name, public_key, WSL_EXE.format(**_NOTHING, listed=LISTED, entered=ENTERED))


_NOTHING = {"distros": {}, "modes": {}, "profile": "", "state": "", "engine": ""}


def _serve(name: str, public_key: str, program: str) -> None:
    """Have a second sshd on a host, whose logins find that program."""
    lines = f"""
id {USER} 2>/dev/null || useradd --create-home --shell /bin/bash --groups sudo {USER}
usermod --password '*' {USER}
install -d -o {USER} -g {USER} -m 700 /home/{USER}/.ssh
echo '{public_key.strip()}' >/home/{USER}/.ssh/authorized_keys
chown {USER}: /home/{USER}/.ssh/authorized_keys
echo '{USER} ALL=(ALL) NOPASSWD: SETENV: ALL' >/etc/sudoers.d/{USER}
cat >/etc/ssh/windows_config <<'CONFIG'
{_CONFIG}CONFIG
cat >/usr/local/lib/wsl-double
chmod 755 /usr/local/lib/wsl-double
ssh-keygen -A >/dev/null
mkdir -p /run/sshd
systemd-run --quiet --unit=sshd-windows --property=RuntimeDirectory=sshd --property=RuntimeDirectoryPreserve=yes \\
    /usr/sbin/sshd -D -f /etc/ssh/windows_config
systemctl start ssh
"""
    host.execute(name, "sh", "-euc", lines, stdin=program)


def drive(folder: Path) -> Path:
    """Make a drive C: in a folder; returns the user's folder on it."""
    program = folder / "Windows/System32/cmd.exe"
    program.parent.mkdir(parents=True)
    program.write_text(CMD_EXE)
    program.chmod(0o755)
    (folder / PROFILE).mkdir(parents=True)
    (folder / "wsl-double").mkdir()
    return folder / PROFILE


def start_in(folder: Path, mode: str) -> None:
    """Say in which mode the virtual machine is when the first distros are made."""
    (folder / "wsl-double/mode").write_text(mode)
    (folder / "wsl-double/kind").write_text(MODES[mode])


def distro(name: str, folder: Path, suite: str = "noble", dress: str = "wsl2", setup: str = "") -> None:
    """Start a test host that is a distro of such a Windows host."""
    host.up(host.Wanted(name, suite, dress=dress, setup=setup, binds=(f"{folder}:{DRIVE}",)))
    for program, text in {"wslpath": WSLPATH, "wslinfo": WSLINFO}.items():
        path = f"/usr/local/bin/{program}"
        host.execute(name, "sh", "-c", f"cat >{path} && chmod 755 {path}", stdin=text)


def machine(name: str, folder: Path, public_key: str, distros: dict[str, str]) -> None:
    """Start a Windows host of its own; `distros`: test hosts by their names in WSL. The key opens it, as the user `developer`."""
    cli = shutil.which("docker")
    if not cli:
        raise HostError("docker is not installed")
    socket = (engine.docker_host() or "unix:///var/run/docker.sock").removeprefix("unix://")
    binds = (f"{folder}:{DRIVE}", f"{Path(cli).resolve()}:/usr/bin/docker:ro", f"{socket}:{ENGINE}")
    host.up(host.Wanted(name, dress="linux", setup="sshd", binds=binds))
    containers = {known: host.container(own) for known, own in distros.items()}
    _serve(
        name,
        public_key,
        WSL_EXE.format(
            listed=[],
            entered=[],
            distros=containers,
            modes=MODES,
            profile=f"{DRIVE}/{PROFILE}",
            state=STATE,
            engine=ENGINE,
        ),
    )
