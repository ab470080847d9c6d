"""The WSL distros of Windows hosts as an inventory: `wsl.exe --list --verbose` on each of them, over ssh."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

DOCUMENTATION = r"""
name: containai_wsl
short_description: List the WSL distros of Windows hosts
description:
  - Runs C(wsl.exe --list --verbose) on each Windows host with the controller's ssh client. Each distro becomes a host.
    These are reached with the connection plugin C(community.general.wsl), so a distro needs no ssh server.
  - It only reads. A stopped distro stays stopped until a playbook runs in it.
  - Ansible finds the plugin beside the playbooks; C(ansible-inventory) and C(ansible) with C(--playbook-dir playbooks).
  - Each distro is in the group C(wsl), in C(wsl_running) or C(wsl_stopped), in C(wsl_version_1) or C(wsl_version_2).
    A Windows host that does not answer is a host of the group C(wsl_no_answer), so that the report lists it.
  - Host variables are C(wsl_distribution), C(wsl_windows_host), C(wsl_state), C(wsl_version) and C(wsl_default).
extends_documentation_fragment:
  - constructed
options:
  plugin:
    description: Its name, C(containai_wsl), or C(containai.secure_engine.containai_wsl) from the collection.
    type: str
    required: true
  windows_hosts:
    description:
      - The Windows hosts by name. Each may have C(host) (its address, otherwise the name), C(port), C(user),
        C(private_key_file), C(ssh_args) (a list for the ssh client), and C(vars) for its distros.
    type: dict
    required: true
  user:
    description: The Windows user. Distros belong to a Windows user, so another user has others.
    type: str
  wsl_user:
    description: The user inside the distros.
    type: str
    default: root
  ssh_args:
    description: More words for the ssh client, for all hosts.
    type: list
    elements: str
    default: []
  include:
    description: Distros to list, as shell patterns.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Distros to leave out, as shell patterns. The default is those that belong to other engines.
    type: list
    elements: str
    default: [docker-desktop*, rancher-desktop*, podman-*]
  wsl_vars:
    description: Variables for all distros.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for a Windows host.
    type: int
    default: 30
  parallel:
    description: How many Windows hosts are asked at a time.
    type: int
    default: 20
"""

EXAMPLES = r"""
# A file such as inventory/wsl-discovered.example.yml
plugin: containai_wsl
user: developer
windows_hosts:
  dev-pc-01:
    host: dev-pc-01.example.internal
  dev-pc-02:
    host: dev-pc-02.example.internal
    vars:
      docker_context_user: alice
keyed_groups:
  - key: wsl_distribution
    prefix: distro
"""

# As wsl.exe prints it: the default's asterisk, the name padded to the longest and four blanks, the state, the version.
# Old versions translate the state.
ROW = re.compile(r"^(?P<default>[* ]) (?P<name>\S.*?)\s{2,}(?P<state>\S.*?)\s{2,}(?P<version>[12])$")
HOST_KEYS = {"host", "port", "user", "private_key_file", "ssh_args", "vars"}


@dataclass(frozen=True)
class Distro:
    """One line of the list."""

    name: str
    state: str
    version: int
    default: bool


def decode(data: bytes) -> str:
    """The text of wsl.exe: UTF-16LE without a byte order mark, or UTF-8 where WSL_UTF8 is set on the Windows host."""
    encoding = "utf-16-le" if b"\0" in data else "utf-8"
    return data.decode(encoding, errors="replace").lstrip("\ufeff").replace("\r", "")


def parse(text: str) -> list[Distro]:
    """The distros in the output of `wsl.exe --list --verbose`; the heading and messages are no rows."""
    rows = (ROW.match(line.rstrip()) for line in text.splitlines())
    return [
        Distro(row["name"], row["state"].lower(), int(row["version"]), row["default"] == "*") for row in rows if row
    ]


def host_name(windows: str, distro: str, taken: set[str]) -> str:
    """An inventory name without blanks, that no other distro has."""
    name = base = f"{windows}-{re.sub(r'[^A-Za-z0-9._-]+', '_', distro)}"
    count = 1
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    taken.add(name)
    return name


class InventoryModule(BaseInventoryPlugin, Constructable):  # type: ignore[misc]
    """Makes hosts and groups of the answers."""

    NAME = "containai_wsl"

    def verify_file(self, path: str) -> bool:
        """Ansible has read `plugin:` in the file before it asks."""
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Ask the Windows hosts, and add what they have."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        windows = {name: self._settings(name, more) for name, more in self.get_option("windows_hosts").items()}
        for group in ("wsl", "wsl_no_answer"):
            inventory.add_group(group)
        with ThreadPoolExecutor(max(1, self.get_option("parallel"))) as pool:
            answers = [*pool.map(self._ask, windows.values())]
        taken: set[str] = set(windows)
        for (name, settings), (distros, error) in zip(windows.items(), answers, strict=True):
            if error:
                self.display.warning(f"{name}: {error}")
            if distros is None:
                self._add_silent(name, settings)
            for distro in distros or []:
                if self._wanted(distro.name):
                    self._add(host_name(name, distro.name, taken), name, settings, distro)

    def _settings(self, name: str, more: Any) -> dict[str, Any]:
        more = more or {}
        unknown = sorted(set(more) - HOST_KEYS)
        if unknown:
            raise AnsibleParserError(
                f"windows_hosts.{name} has {', '.join(unknown)}; known are {', '.join(sorted(HOST_KEYS))}."
            )
        return {"host": name, "user": self.get_option("user"), **more}

    def _command(self, settings: dict[str, Any]) -> list[str]:
        words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={self.get_option('timeout')}"]
        options = {"-p": settings.get("port"), "-l": settings["user"], "-i": settings.get("private_key_file")}
        words += [word for key, value in options.items() if value for word in (key, str(value))]
        words += [*self.get_option("ssh_args"), *settings.get("ssh_args", [])]
        return [*words, "--", str(settings["host"]), "wsl.exe --list --verbose"]

    def _ask(self, settings: dict[str, Any]) -> tuple[list[Distro] | None, str]:
        """The distros of a host (None: no answer), and what went wrong."""
        try:
            done = subprocess.run(
                self._command(settings), stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=self.get_option("timeout") + 30,
            )  # fmt: skip
        except FileNotFoundError:
            raise AnsibleParserError("ssh is not installed on the controller; containai_wsl needs it.") from None
        except subprocess.TimeoutExpired:
            return None, "wsl.exe did not answer in time."
        text = decode(done.stdout)
        found = parse(text)
        if found or done.returncode == 0:
            return found, ""
        said = (text.strip() or decode(done.stderr).strip()).splitlines()
        # wsl.exe without distros says so on stdout and fails; ssh itself says nothing there.
        return ([] if text.strip() else None), said[-1] if said else f"ssh ended with code {done.returncode}."

    def _wanted(self, name: str) -> bool:
        def listed(option: str) -> bool:
            return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.get_option(option))

        return listed("include") and not listed("exclude")

    def _add_silent(self, name: str, settings: dict[str, Any]) -> None:
        self.inventory.add_host(name, group="wsl_no_answer")
        self._set(name, {"ansible_host": settings["host"], "ansible_user": settings["user"], "wsl_windows_host": name})
        self._set(name, {"ansible_port": settings.get("port"), "ansible_connection": "ssh"})

    def _add(self, host: str, windows: str, settings: dict[str, Any], distro: Distro) -> None:
        self.inventory.add_host(host, group="wsl")
        for group in (f"wsl_{distro.state}", f"wsl_version_{distro.version}"):
            self.inventory.add_host(host, group=self.inventory.add_group(self._sanitize_group_name(group)))
        own = {
            "ansible_connection": "community.general.wsl",
            "ansible_host": settings["host"],
            "ansible_port": settings.get("port"),
            "ansible_user": settings["user"],
            "ansible_private_key_file": settings.get("private_key_file"),
            "ansible_python_interpreter": "/usr/bin/python3",
            # The connection plugin sends modules as files, and Ansible would look for the home of the Windows user.
            "ansible_remote_tmp": "~root/.ansible/tmp" if self.get_option("wsl_user") == "root" else None,
            "wsl_user": self.get_option("wsl_user"),
            "wsl_distribution": distro.name,
            "wsl_windows_host": windows,
            "wsl_state": distro.state,
            "wsl_version": distro.version,
            "wsl_default": distro.default,
        }
        self._set(host, {**own, **self.get_option("wsl_vars"), **settings.get("vars", {})})
        known = self.inventory.get_host(host).get_vars()
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), known, host, strict=strict)
        known = self.inventory.get_host(host).get_vars()
        self._add_host_to_composed_groups(self.get_option("groups"), known, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, host, strict=strict)

    def _set(self, host: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is not None:
                self.inventory.set_variable(host, name, value)
