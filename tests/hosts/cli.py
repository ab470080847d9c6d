"""The command line of the test hosts: `python3 -m tests.hosts --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import engine, host, image, scenarios
from .doubles import desktop, sysbox_deb, user_image
from .shell import HostError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.hosts", description="Real test hosts: systemd in a container, dressed as WSL2 or as a native Linux machine.")
    commands = parser.add_subparsers(dest="command", required=True)

    part = commands.add_parser("engine", help="the Docker engine: the one that answers, else a private one")
    part.add_argument("action", choices=["up", "down", "host"])

    part = commands.add_parser("image", help="build and load host images")
    part.add_argument("suite", nargs="+", choices=image.SUITES)

    part = commands.add_parser("up", help="start a host and wait until it has booted")
    part.add_argument("name")
    part.add_argument("--suite", default="bookworm", choices=image.SUITES)
    part.add_argument("--kind", default="none", choices=host.KINDS, help="seccomp filter of PID 1")
    part.add_argument("--dress", default="wsl2", choices=host.DRESSES, help="what the host looks like")
    part.add_argument("--bind", action="append", default=[], metavar="FROM:TO[:ro]")

    for word, text in (("down", "remove hosts"), ("reboot", "`systemctl reboot` inside, and wait")):
        part = commands.add_parser(word, help=text)
        part.add_argument("name", nargs="*" if word == "down" else 1)

    part = commands.add_parser("molecule", help="run molecule on these hosts (default: test --all)")
    part.add_argument("words", nargs=argparse.REMAINDER)

    part = commands.add_parser("exec", help="run a command in a host")
    part.add_argument("--user", default="root")
    part.add_argument("name")
    part.add_argument("words", nargs=argparse.REMAINDER)

    part = commands.add_parser("sysbox-double", help="build the Sysbox double's .deb; prints its path and sha256")
    part.add_argument("--version", default="0.7.1")
    part.add_argument("--arch", default="amd64", choices=["amd64", "arm64"])
    part.add_argument("--not-isolating", action="store_true", help="its runtime only runs runc: verification must fail")
    part.add_argument("--out", type=Path, required=True)

    part = commands.add_parser("desktop-double", help="put the Docker Desktop double into a running host")
    part.add_argument("name")

    commands.add_parser("user-image", help="make the registry-free test image; prints the tar for `docker load -i`")
    return parser


def _run(asked: argparse.Namespace) -> int:
    match asked.command:
        case "engine" if asked.action == "down":
            engine.down()
        case "engine":
            print((engine.up() if asked.action == "up" else engine.docker_host()) or "default")
        case "image":
            engine.up()
            for suite in asked.suite:
                print(image.ensure(suite))
        case "up":
            host.up(host.Wanted(asked.name, asked.suite, asked.kind, asked.dress, binds=tuple(asked.bind)))
        case "down":
            for name in asked.name or host.names():
                host.down(name)
        case "reboot":
            print(f"{host.reboot(asked.name[0]):.1f} s")
        case "molecule":
            return scenarios.molecule(asked.words)
        case "exec":
            return host.interactive(asked.name, asked.words, asked.user)
        case "sysbox-double":
            made = sysbox_deb.build(asked.out, asked.version, asked.arch, isolating=not asked.not_isolating)
            print(made, sysbox_deb.sha256(made))
        case "desktop-double":
            desktop.install(asked.name)
        case "user-image":
            print(user_image.build())
    return 0


def main() -> int:
    """Run one command; an expected failure is one message and exit code 1."""
    try:
        return _run(_parser().parse_args())
    except HostError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
