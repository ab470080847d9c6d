"""A DOUBLE of a Windows host with WSL: an sshd on port 2222 of a test host, whose logins find `wsl.exe` and nothing else.

sshd is real. The double reads a command line as wsl.exe does: options up to `--`, and all that follows goes to the distro's shell as it
stands. It prints what `wsl.exe --list --verbose` prints, in UTF-16LE. The distro that it enters is the test host itself, by any of the names in
ENTERED. What it cannot show: Windows' own shell and OpenSSH, and a distro that wsl.exe starts.
"""

from __future__ import annotations

from .. import host

PORT = 2222
USER = "developer"
LISTED = [("Ubuntu 24.04", "Running", 2), ("Old-One", "Stopped", 1), ("docker-desktop", "Running", 2)]
ENTERED = ("Ubuntu 24.04", "Ubuntu-24.04")

WSL_EXE = """#!/usr/bin/python3 -IS
import os, re, subprocess, sys
LISTED, ENTERED = {listed!r}, {entered!r}

def say(text):
    sys.stdout.buffer.write(text.replace("\\n", "\\r\\n").encode("utf-16-le"))

line = os.environ.get("SSH_ORIGINAL_COMMAND", "")
with open("/var/log/wsl-double", "a") as log:
    log.write(line + "\\n")
program, _, line = line.partition(" ")
if program != "wsl.exe":
    sys.exit(f"'{{program}}' is not recognized as an internal or external command")
chosen = {{}}
while line and not line.startswith("-- "):
    word, line = re.match(r'("[^"]*"|\\S+)\\s*(.*)', line, re.DOTALL).groups()
    if word in ("--list", "--verbose"):
        chosen[word] = True
    elif word in ("--distribution", "--user"):
        value, line = re.match(r'("[^"]*"|\\S+)\\s*(.*)', line, re.DOTALL).groups()
        chosen[word] = value.strip('"')
    else:
        say(f"Invalid command line option: {{word}}\\n")
        sys.exit(255)
if "--list" in chosen:
    width = max(len(name) for name, _, _ in LISTED) + 4
    say(f"  {{'NAME':<{{width}}}}{{'STATE':<16}}VERSION\\n")
    for at, (name, state, version) in enumerate(LISTED):
        say(f"{{' ' if at else '*'}} {{name:<{{width}}}}{{state:<16}}{{version}}\\n")
    sys.exit(0)
if chosen.get("--distribution") not in ENTERED:
    say("There is no distribution with the supplied name.\\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND\\n")
    sys.exit(255)
user = chosen.get("--user", "dev")
os.execvp("runuser", ["runuser", "-u", user, "--", "/bin/bash", "-c", line[3:]])
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
    host.execute(name, "sh", "-euc", lines, stdin=WSL_EXE.format(listed=LISTED, entered=ENTERED))
