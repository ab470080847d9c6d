"""The main job, visibly: a disposable WSL2-like host, `cai` installed in it from a wheel, and what a developer would type.

usage: python -m tests.hosts.demo
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.system import snapshot

from . import engine, host, image, paths
from .doubles import sysbox_deb, user_image
from .shell import HostError, run, say

_HOST, _STRICT = "demo-wsl2", "demo-mirrored"
# The suite of the hosts, and its Python.
_SUITE, _HOST_PYTHON = "noble", "3.12"
_ABOUT = """
What is real here: systemd, apt, dockerd, the kernel's user namespaces and seccomp filters, and every command you see.
What is a dress:   WSL2 (/proc/version of a container says so).
The Sysbox package is {sysbox}.
"""


def _wheelhouse() -> Path:
    """The project's wheel and everything it needs, for a host that asks no index."""
    house = paths.CACHE / "wheelhouse"
    house.mkdir(parents=True, exist_ok=True)
    for old in house.glob("containai_cai-*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", house, paths.ROOT])
    machine = run(["uname", "-m"]).stdout.strip()
    platforms = [f"--platform={kind}_{machine}" for kind in ("manylinux2014", "manylinux_2_28", "manylinux_2_34")]
    wheel = next(house.glob("containai_cai-*.whl"))
    choose = ["--only-binary=:all:", f"--python-version={_HOST_PYTHON}", "--implementation=cp", *platforms]
    run([*pip, "download", *choose, "--find-links", house, "--dest", house, wheel])
    return house


def _settings(package: Path) -> str:
    architecture = run(["dpkg-deb", "--field", package, "Architecture"]).stdout.strip()
    return f"""docker_engine_source: distro
sysbox_version: {sysbox_deb.version_of(package)}
sysbox_deb: /opt/demo/{package.name}
sysbox_sha256: {{{architecture}: {sysbox_deb.sha256(package)}}}
"""


def _install(name: str, house: Path, package: Path) -> None:
    """Install cai for user dev, and tell it where its packages come from."""
    host.execute(name, "mkdir", "-p", "/opt/demo")
    for source in (house, package, user_image.build()):
        host.copy(name, source, "/opt/demo/")
    host.execute(name, "chmod", "-R", "a+rX", "/opt/demo")
    pip = "~/.venv/bin/pip install -q --no-index --find-links /opt/demo/wheelhouse containai-cai"
    path = "mkdir -p ~/.local/bin && ln -s ~/.venv/bin/cai ~/.local/bin/cai"
    host.login(name, f"python3 -m venv ~/.venv && {pip} && {path} && mkdir -p ~/.config/containai")
    host.execute(name, "tee", "/home/dev/.config/containai/config.yml", user="dev", stdin=_settings(package))


def _type(name: str, line: str, expected: int = 0) -> str:
    """Run a line in a login terminal of the developer, give sudo its password, show all of it; returns the output."""
    import pexpect  # type: ignore[import-untyped]

    print(f"\n\033[1mdev@{name}:~$ {line}\033[0m", flush=True)
    address = engine.docker_host()
    # Not `su -c`: that takes the terminal away, and sudo's password needs one.
    terminal = os.environ.get("TERM", "xterm") if sys.stdout.isatty() else "dumb"
    login = [
        "exec",
        "-it",
        "--env",
        f"TERM={terminal}",
        "--user",
        "dev",
        "--workdir",
        "/home/dev",
        host.container(name),
        "bash",
        "-lc",
        line,
    ]
    words = [*(["-H", address] if address else []), *login]
    child: Any = pexpect.spawn(
        "docker", words, encoding="utf-8", codec_errors="replace", timeout=400, dimensions=(50, 120)
    )
    child.logfile_read = sys.stdout
    shown: str = ""
    while child.expect([r"password for dev: ", pexpect.EOF]) == 0:
        shown += str(child.before)
        child.sendline("dev")
    shown += str(child.before)
    child.close()
    code = child.exitstatus
    if code != expected:
        raise HostError(f"`{line}` exited {code}, not {expected}")
    return shown


def _must(found: bool, what: str) -> None:
    if not found:
        raise HostError(f"expected: {what}")
    print(f"   \u2713 {what}", flush=True)


def _picture() -> dict[str, str]:
    """What the file system holds."""
    return snapshot.take(lambda *argv, stdin: host.execute(_HOST, *argv, stdin=stdin).stdout)


def _on_wsl2() -> None:
    """Plan, setup, a container, setup again."""
    docker = "docker --context containai-secure"
    before = _picture()
    _type(_HOST, "cai setup --dry-run")
    changed = snapshot.difference(before, _picture())
    _must(
        not changed,
        "every file is as it was before the dry run" + (f", but: {'; '.join(changed[:10])}" if changed else ""),
    )
    _type(_HOST, "cai setup")
    _type(_HOST, f"{docker} load -q -i /opt/demo/{user_image.build().name}")
    shown = _type(
        _HOST, f"{docker} run --rm --network none --runtime sysbox-runc {user_image.NAME} cat /proc/self/uid_map"
    )
    _must(re.search(r"\b0 +[1-9]\d* +\d+", shown) is not None, "root in the container is nobody on the host")
    _must("nothing had to be changed" in _type(_HOST, "cai setup"), "a second setup changes nothing")
    _type(_HOST, "docker context ls")


def _on_mirrored() -> None:
    """The gate."""
    shown = _type(_STRICT, "cai setup", expected=1)
    _must("seccomp" in shown and "networkingMode=nat" in shown, "the gate stops, and names the remedy")


def _start(name: str, kind: str, house: Path, package: Path) -> None:
    host.up(host.Wanted(name, _SUITE, kind, "wsl2"))
    _install(name, house, package)


def _demo() -> None:
    engine.up()
    image.ensure(_SUITE)
    say("building the wheel")
    house, package = _wheelhouse(), sysbox_deb.chosen(paths.CACHE / "doubles")
    kind = (
        "the original"
        if os.environ.get("SYSBOX_DEB")
        else "a double: same names and manners, and a real user namespace"
    )
    print(_ABOUT.format(sysbox=f"{package.name}, {kind}"))
    _start(_HOST, "none", house, package)
    _on_wsl2()
    print("\nAnother host: WSL2 in mirrored mode, where a listener sits on PID 1.")
    _start(_STRICT, "listener", house, package)
    _on_mirrored()


def main() -> int:
    """Show it all, then take everything away again; 0 when every step did what it should."""
    start, ran_before = time.monotonic(), engine.private() is not None
    try:
        _demo()
    except (HostError, subprocess.SubprocessError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    finally:
        for name in (_HOST, _STRICT):
            host.down(name)
        if not ran_before:
            engine.down()
    print(f"\nThe demo did all of this in {time.monotonic() - start:.0f} s and left nothing behind but .cache/.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
