"""Packs a health report, excerpts and the last log into one file, with secrets and user names taken out."""

from __future__ import annotations

import io
import json
import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from cai import __version__, paths
from cai.errors import CaiError, Exit
from cai.report import Report
from cai.text import clean

_LIMIT = 1_000_000
_FILES = ("/etc/docker/daemon.json", "/proc/version", "/etc/os-release")
_UNITS = (
    "containai-docker",
    "containai-containerd",
    "containai-network",
    "containai-relay",
    "sysbox",
    "sysbox-mgr",
    "sysbox-fs",
)
_COMMANDS = {
    "units.txt": ["systemctl", "cat", *_UNITS, "--no-pager"],
    "unit-states.txt": ["systemctl", "status", *_UNITS, "--no-pager", "--lines=0"],
    "journal.txt": ["journalctl", "--no-pager", "--lines=300", *(f"--unit={unit}" for unit in _UNITS)],
    "docker-contexts.txt": ["docker", "context", "ls"],
    "lima.txt": ["limactl", "list"],
}
# Tokens that are known by their form, whatever stands before them.
_TOKENS = (
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|dt|rt|ptt|soat|cbt)-[\w-]{16,}"  # GitHub, GitLab
    r"|dckr_(?:pat|oat)_[\w-]{16,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{30,}|hf_[A-Za-z0-9]{20,}"  # registries
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # AWS, Google
    r"|sk-[\w-]{20,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|SG\.[\w.-]{30,}"
    r"|dop_v1_[a-f0-9]{32,}|hv[sb]\.[\w-]{20,}|tskey-[\w-]{16,}|AGE-SECRET-KEY-[A-Z0-9]{40,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # a JSON web token
)
_NAMED = (
    r"(?:passw(?:or)?d|passwd|passphrase|secret|token|(?:api|access|account|private)[_-]?key|credential|signature)s?"
)
_SECRETS = [
    (re.compile(r"(://)[^/@\s'\"]+@"), r"\1***@"),
    (re.compile(r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)[\w-]+(?:\s+[^\s\"']+)?"), r"\1***"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/-]{8,}=*"), r"\1***"),
    (re.compile(rf"""(?i)(["']?[\w.-]*{_NAMED}["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s&]+)"""), r"\1***"),
    (re.compile(r"""(?i)(["'](?:auth|sig|pat)["']\s*:\s*)("[^"]*"|'[^']*')"""), r"\1***"),  # docker's config.json
    (re.compile(r"(?i)([?&](?:sig|auth|key|code|pat)=)[^\s&\"']+"), r"\1***"),
    (re.compile(rf"(?i)(--[\w-]*{_NAMED}\s+)(?!-)\S+"), r"\1***"),  # an option and its value
    (re.compile(r"(?i)(\s(?:-u|--user|--proxy-user)\s+[\w.-]+:)\S+"), r"\1***"),
    (re.compile(r"(?i)\b(machine\s+\S+\s+login\s+)\S+(\s+password\s+)\S+"), r"\1***\2***"),  # netrc
    (re.compile(rf"\b(?:{_TOKENS})"), "***"),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S), "***"),
]


def redact(text: str, names: dict[str, str]) -> str:
    """Take out secrets, and the names given (name -> stand-in)."""
    for pattern, stand_in in _SECRETS:
        text = pattern.sub(stand_in, text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", names[name], text)
    return text


def pack(target: Path, report: Report) -> None:
    """Write the bundle, atomically and for the owner only."""
    names = _names()
    part = None
    try:
        # Under a name that nobody can have put there before: the folder may be everybody's, as /tmp is.
        handle, part = tempfile.mkstemp(prefix=".cai-bundle-", dir=target.parent)
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in _contents(report).items():
                data = redact(text[-_LIMIT:], names).encode("utf-8", errors="replace")
                entry = tarfile.TarInfo(f"cai-bundle/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(data))
        Path(part).replace(target)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise CaiError(
            f"{target} cannot be written: {error.strerror}.", hint="name a file in a folder of yours", code=Exit.USAGE
        ) from error


def _contents(report: Report) -> dict[str, str]:
    texts = {"report.json": json.dumps(report.document(), indent=2), "versions.txt": _versions()}
    for path in map(Path, _FILES):
        texts[path.name] = _read(path)
    for name, command in _COMMANDS.items():
        if shutil.which(command[0]):
            texts[name] = _said(command)
    run = paths.last_run()
    if run:
        texts["last-run.txt"] = _read(run / "stdout")
    return texts


def issue_text(report: Report) -> str:
    """Write what a bug report needs as Markdown, without names and secrets."""
    rows = [(finding.part, finding.status, finding.found, finding.hint) for finding in report.findings]
    health = "\n".join(
        f"- {status}: {part}: {found}{f' -> {hint}' if hint else ''}" for part, status, found, hint in rows
    )
    errors = "\n".join(f"- {error.kind}: {error.message}" for error in report.errors)
    run = paths.last_run()
    log = "\n".join(_read(run / "stdout").splitlines()[-40:]) if run else "(none)"
    parts = {
        "What happened": "(what you typed, what you expected, what came instead)",
        "Versions": f"```\n{_versions()}```",
        "Health": health or "(nothing was found out)",
        **({"Errors": errors} if errors else {}),
        "End of the last run": f"```\n{log}\n```",
    }
    text = "".join(f"### {title}\n\n{body}\n\n" for title, body in parts.items())
    return f"<!-- Made by `cai doctor --issue`; read it before you publish it. -->\n\n{clean(redact(text, _names()))}"


def _versions() -> str:
    lines = [f"cai {__version__}", f"python {sys.version}", f"machine {platform.platform()}"]
    for command in (["docker", "--version"], ["sysbox-runc", "--version"], ["limactl", "--version"]):
        if shutil.which(command[0]):
            lines.append(_said(command))
    return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"({error.strerror})\n"


def _said(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("DOCKER_HOST", "DOCKER_CONTEXT")}
    if os.geteuid() == 0:
        environment["PATH"] = paths.SYSTEM_PATH
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=15, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({error})\n"
    return done.stdout + done.stderr


def _names() -> dict[str, str]:
    """The names that tell who and where this is."""
    people = {entry.pw_name for entry in pwd.getpwall() if entry.pw_dir.startswith(("/home/", "/Users/"))}
    users = {*people, *(os.environ.get(name, "") for name in ("USER", "SUDO_USER", "LOGNAME")), Path.home().name}
    # An image's own user is named as its distribution, which the report has to name.
    names = dict.fromkeys(users - {"", "root", "ubuntu", "debian"}, "user")
    host = platform.node()
    return {**names, **({host: "host"} if len(host) > 2 and host != "localhost" else {})}
