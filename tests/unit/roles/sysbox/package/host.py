"""A host with dpkg, apt and systemd, made of a folder; its one package is a file of three lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.roles.conftest import Answer, Commands, load_module, run_module

# dpkg and apt with one package: its version is in a file, a .deb is three lines of fields.
DPKG_QUERY = """
case "$*" in
*Eflag*fuse3*) [ ! -e {half} ] || echo "fuse3 reinstreq";;
*Eflag*) flag=ok; [ ! -e {there} ] || read -r version want flag state <{there}; printf 'sysbox-ce %s\n' "$flag";;
*sysbox-ce) [ -e {there} ] || {{ echo "no packages found" >&2; exit 1; }}; read -r version status <{there}; printf '%s\\t%s' "$version" "$status";;
*) echo "ii libc6"; [ ! -e {there} ] || echo "ii sysbox-ce"; [ ! -e {there} ] || echo "ii fuse3";;
esac"""
DPKG_DEB = 'cat "$2"'
DPKG = """[ "$1" != --no-act ] || { [ ! -e {lost} ]; exit; }
case $* in *reinstreq*fuse3) rm {half};; esac
case $1 in --unpack) read -r version rest <{there}; echo "$version install ok unpacked" >{there};; --purge) rm -f {there};; esac
[ "$1" = --compare-versions ] || exit 0
for name; do :; done
a=$2 b=$4; while [ -n "$a$b" ]; do x=${a%%.*} y=${b%%.*}; [ "${x:-0}" -eq "${y:-0}" ] || { [ "${x:-0}" -gt "${y:-0}" ]; exit; }
case $a in *.*) a=${a#*.};; *) a=;; esac; case $b in *.*) b=${b#*.};; *) b=;; esac; done; exit 1"""
UNSHARE = (
    'while [ "$1" != -ec ]; do shift; done; shift 2; scratch=$1; cp "$scratch/daemon.json" {kept}; shift 2; exec "$@"'
)
APT = """
case " $* " in
*" --simulate "*) [ ! -e {lost} ] || cat {lost}; exit 0;;
*" update "*) exit 0;;
*" purge "*) [ ! -e {half} ] || {{ echo "dpkg: error processing package fuse3 (--configure)" >&2; exit 100; }}
    read -r version status <{there}
    case $status in *reinstreq*) echo "E: it needs to be reinstalled, but there is no archive for it" >&2; exit 100;; esac
    rm -f {there}
    [ "$status" != "purge ok half-installed" ] || echo "$version deinstall ok config-files" >{there}; exit 0;;
esac
case " $* " in *" --no-remove "*) [ ! -e {lost} ] || exit 100;; esac
[ ! -e {broken} ] || {{ echo "W: Could not connect to http://me:geheim@proxy:3128" >&2; echo "E: dpkg was interrupted" >&2; exit 100; }}
for word; do :; done
while read -r key value; do [ "$key" != Version: ] || printf '%s install ok installed\\n' "$value" >{there}; done <"$word"
: >{active}"""
SYSTEMCTL = """
case $1 in
is-active) [ -e {active} ];;
restart|start) [ ! -e {stuck} ] || exit 1; [ ! -e {slow} ] || {{ rm {slow}; exit 1; }}; : >{active};;
stop) rm -f {active};;
esac"""

# What an engine answers in which one container runs under Sysbox, and one does not.
LIVE = {
    "/containers/json": [{"Id": "s1"}, {"Id": "p1"}],
    "/containers/s1/json": {"Name": "/agent-1", "HostConfig": {"Runtime": "sysbox-runc"}},
    "/containers/p1/json": {"Name": "/plain", "HostConfig": {"Runtime": "runc"}},
}


def look(part: str, parameters: dict[str, Any], **more: Any) -> Answer:
    """Run sysbox_info for one part of it."""
    return run_module(load_module("sysbox_info"), gather_subset=[part], **parameters, **more)


def package(version: str = "0.7.1", architecture: str = "amd64", name: str = "sysbox-ce") -> bytes:
    return f"Package: {name}\nVersion: {version}.linux\nArchitecture: {architecture}\n".encode()


class Host:
    """dpkg, apt, systemd and the folders of a host, all below one folder."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands = folder, commands
        self.there, self.active, self.broken, self.stuck = (
            folder / name for name in ("there", "active", "broken", "stuck")
        )
        self.slow = folder / "slow"  # there while a first start fails
        self.half = folder / "half"  # there while fuse3, which came with it, is half unpacked
        self.shadow = folder / "shadow.json"
        places = {
            "there": self.there,
            "half": self.half,
            "lost": folder / "lost",
            "active": self.active,
            "broken": self.broken,
            "stuck": self.stuck,
            "slow": self.slow,
            "kept": self.shadow,
        }
        commands.link("cat", "cp", "rm")
        commands.add("dpkg-query", DPKG_QUERY.format(**places))
        commands.add("dpkg-deb", DPKG_DEB)
        dpkg = DPKG
        for name in ("there", "half", "lost"):
            dpkg = dpkg.replace(f"{{{name}}}", str(places[name]))
        commands.add("dpkg", dpkg)
        commands.add("unshare", UNSHARE.format(**places))
        commands.add("apt-get", APT.format(**places))
        commands.add("systemctl", SYSTEMCTL.format(**places))

    def has(self, version: str, status: str = "install ok installed") -> None:
        self.there.write_text(f"{version}.linux {status}\n")
        self.active.touch()

    @property
    def version(self) -> str | None:
        return self.there.read_text().split()[0] if self.there.exists() else None

    def changes(self) -> list[list[str]]:
        programs, options = (
            {"dpkg-query", "dpkg-deb", "stat"},
            {"--simulate", "--no-act", "--compare-versions", "is-active"},
        )
        return [call for call in self.commands.calls if call[0] not in programs and not options & set(call)]
