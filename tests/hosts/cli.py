"""The command line of the test hosts: `python3 -m tests.hosts --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import engine, host, image, scenarios, setups
from .doubles import desktop, docker_repository, sysbox_deb, user_image
from .shell import HostError

Command = Callable[[argparse.Namespace], int | None]


def _engine(asked: argparse.Namespace) -> None:
    if asked.action == "down":
        engine.down()
    elif asked.action == "ran":
        print("yes" if engine.private() else "no")
    else:
        print((engine.up() if asked.action == "up" else engine.docker_host()) or "default")


def _image(asked: argparse.Namespace) -> None:
    engine.up()
    with ThreadPoolExecutor(2) as pool:  # half of the time is the network's and the disk's
        for name in pool.map(image.ensure, asked.suite):
            print(name)


def _up(asked: argparse.Namespace) -> None:
    host.up(host.Wanted(asked.name, asked.suite, asked.kind, asked.dress, asked.setup, binds=tuple(asked.bind)))


def _down(asked: argparse.Namespace) -> None:
    for name in host.names() if asked.all else asked.name:
        host.down(name)


def _reboot(asked: argparse.Namespace) -> None:
    print(f"{host.reboot(asked.name):.1f} s")


def _execute(asked: argparse.Namespace) -> int:
    return host.interactive(asked.name, asked.words, asked.user)


def _molecule(asked: argparse.Namespace) -> int:
    return scenarios.molecule(asked.words)


def _sysbox_double(asked: argparse.Namespace) -> None:
    made = sysbox_deb.build(asked.out, asked.version, asked.arch, isolating=not asked.not_isolating)
    print(made, sysbox_deb.sha256(made))


def _desktop_double(asked: argparse.Namespace) -> None:
    desktop.install(asked.name)


def _docker_repository(asked: argparse.Namespace) -> None:
    print(docker_repository.install(asked.name))


def _user_image(_: argparse.Namespace) -> None:
    print(user_image.build())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.hosts",
        description="Real test hosts: systemd in a container, dressed as WSL2 or as a native Linux machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        part = commands.add_parser(name, help=text)
        part.set_defaults(run=run)
        return part

    part = add("engine", _engine, "the Docker engine: the one that answers, else a private one")
    part.add_argument("action", choices=["up", "down", "host", "ran"])
    part = add("image", _image, "build and load host images")
    part.add_argument("suite", nargs="+", choices=image.SUITES)
    part = add("up", _up, "start a host and wait until it has booted")
    part.add_argument("name")
    part.add_argument("--suite", default="noble", choices=image.SUITES)
    part.add_argument("--kind", default="none", choices=host.KINDS, help="seccomp filter of PID 1")
    part.add_argument("--dress", default="wsl2", choices=host.DRESSES, help="what the host looks like")
    part.add_argument("--setup", default="", metavar="NAME[+NAME]", help=f"what is on it: {', '.join(setups.names())}")
    part.add_argument("--bind", action="append", default=[], metavar="FROM:TO[:ro]")
    part = add("down", _down, "remove hosts")
    part.add_argument("name", nargs="*")
    part.add_argument("--all", action="store_true", help="every host of this engine")
    part = add("reboot", _reboot, "`systemctl reboot` inside, and wait")
    part.add_argument("name")
    part = add("exec", _execute, "run a command in a host")
    part.add_argument("--user", default="root")
    part.add_argument("name")
    part.add_argument("words", nargs=argparse.REMAINDER)
    part = add("molecule", _molecule, "run molecule on these hosts (default: test --all)")
    part.add_argument("words", nargs=argparse.REMAINDER)
    part = add("sysbox-double", _sysbox_double, "build the Sysbox double's .deb; prints its path and sha256")
    part.add_argument("--version", default="0.7.1")
    part.add_argument("--arch", default="amd64", choices=["amd64", "arm64"])
    part.add_argument("--not-isolating", action="store_true", help="its runtime only runs runc: verification must fail")
    part.add_argument("--out", type=Path, required=True)
    part = add("desktop-double", _desktop_double, "put the Docker Desktop double into a running host")
    part.add_argument("name")
    part = add("docker-repository", _docker_repository, "put a double of Docker's apt repository into a host")
    part.add_argument("name")
    add("user-image", _user_image, "make the registry-free test image; prints the tar for `docker load -i`")
    return parser


def main() -> int:
    """Run one command; an expected failure is one message and exit code 1."""
    try:
        asked = _parser().parse_args()
        return asked.run(asked) or 0
    except HostError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
