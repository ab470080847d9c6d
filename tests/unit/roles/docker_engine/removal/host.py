"""What a removal meets: the programs that it calls, and the record that setup left."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_data_root import MARKER

from tests.unit.roles.conftest import Commands, run_module


class Host:
    """The programs that removal calls; apt's plan is in a file: package, then what goes with it."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands = folder, commands
        self.data_root = folder / "docker-containai"
        self.data_root.mkdir()
        (self.data_root / "containerd").mkdir()
        (self.data_root / MARKER).touch()
        (self.data_root / "volume").write_text("mine")
        self.packages = folder / "packages"
        self.packages.write_text("libc6\ndocker.io\nfuse3\n")
        self.needs: dict[str, list[str]] = {}
        commands.link("cat")
        asked = f"""case $* in *Version*) sed 's/.*/installed & 1.0/' {self.packages}; echo config-files tini 1.0;;"""
        commands.add("dpkg-query", f"{asked} *) cat {self.packages}; echo tini;; esac")
        commands.link("sed")
        commands.add("dpkg-divert")
        commands.link("grep")
        commands.add(
            "dpkg",
            f"""[ "$1" != --no-act ] || for word; do ! grep -qx -- "$word" {folder}/needed || exit 1; done""",
        )
        self.unit("docker.service", "disabled", "inactive")
        for name in ("gpasswd", "userdel", "groupdel"):
            commands.add(name)
        commands.add("unshare", 'while [ "$1" != /var/lib/docker ]; do shift; done; shift; exec "$@"')
        commands.add("getent", 'echo "$2:x:990:"')
        self.plan()

    def plan(self, code: int = 0) -> None:
        (self.folder / "needs").write_text(json.dumps(self.needs))
        (self.folder / "needed").write_text("".join(f"{name}\n" for name in self.needs))
        script = f"needs = json.load(open('{self.folder}/needs'))\nwords = [word for word in sys.argv[sys.argv.index('purge') + 1:] if not word.startswith('-')]\n"
        script += "if '--simulate' in sys.argv:\n    for word in words:\n        for name in [word, *needs.get(word, [])]:\n            print(f'Purg {name} [1.0]')\n"
        script += f"else:\n    sys.stderr.write('dpkg: error\\nvia http://me:geheim@proxy:3128\\n' if {code} else '')\n    sys.exit({code})"
        self.commands.add("apt-get", script, python=True)

    def unit(self, name: str, enabled: str, active: str) -> None:
        """One service of Docker's packages, as systemd knows it."""
        state = f"LoadState=loaded\\nUnitFileState={enabled}\\nActiveState={active}\\n"
        self.commands.add("systemctl", f"case \"$*\" in show*{name}) printf '{state}';; esac")

    def changes(self) -> list[list[str]]:
        looks = {"dpkg-query", "getent", "unshare"}
        return [
            call
            for call in self.commands.calls
            if call[0] not in looks and not {"--simulate", "--no-act"} & set(call) and call[1:2] != ["show"]
        ]


def remove(module: ModuleType, host: Host, **more: Any) -> Any:
    return run_module(module, data_root=str(host.data_root), **more)


def made(path: Path, before: bytes | None, after: bytes) -> None:
    """Change a file as setup does: the record first."""
    record = Record()
    record.note_file(str(path), before, after)
    record.save()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(after)


def note(**lists: list[Any]) -> None:
    record = Record()
    for kind, values in lists.items():
        for value in values:
            record.note(kind, value)
    record.save()
