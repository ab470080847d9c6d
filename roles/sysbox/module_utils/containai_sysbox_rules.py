"""What is refused before Sysbox is touched: settings that cannot be used, a package that is not there, containers that would break."""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import unquote, urlsplit

from ansible.module_utils.containai_settings import SettingError, check
from ansible.module_utils.containai_sysbox_deb import Failure, newer
from ansible.module_utils.containai_sysbox_host import sysbox_containers

OTHER_SOCKET = "/var/run/docker.sock"
FILE = re.compile(r"/[^\x00-\x1f\x7f]*")


def check_settings(params):
    """Refuse what could be read as something else in the drop-in, in a file's name or by dpkg; and a path that depends on where the run stands."""
    try:
        check("docker_engine_socket", params["socket"], "path")
        check("sysbox_version", params["version"], "version")
        for architecture, sha256 in params["sha256"].items():
            check(f"sysbox_sha256.{architecture}", sha256, "sha256")
        if "://" in params["source"]:
            check("sysbox_deb", params["source"], "url")
    except SettingError as error:
        raise Failure(str(error), "mend it in your settings or on the command line: `cai setup -e NAME=VALUE`", "precondition") from error
    if "://" not in params["source"] and not FILE.fullmatch(params["source"]):
        raise Failure(
            f"The variable sysbox_deb is {ascii(params['source'])[:80]}; an absolute path or a URL is needed.",
            'write the path from the root on, such as `cai setup -e sysbox_deb="$HOME/sysbox.deb"`',
            "precondition",
        )


def decide(params, current, finished):
    """Return what to do with the package: install, upgrade, downgrade, repair or nothing; and a warning."""
    wanted = params["version"]
    if current is None:
        return "install", None
    if not finished:
        return "repair", None
    if current == wanted:
        return None, None
    if newer(current, wanted):
        if params["downgrade"]:
            return "downgrade", None
        return None, f"Sysbox {current} is installed, which is newer than {wanted}; it stays. To go back on purpose: `-e sysbox_downgrade=true`."
    return "upgrade", None


def check_sum(params):
    if not params["sha256"].get(params["architecture"]):
        raise Failure(
            f"No sha256 of Sysbox {params['version']} for {params['architecture']} is known.",
            f'set it: `cai setup -e \'sysbox_sha256={{"{params["architecture"]}": "..."}}\'`',
            "precondition",
        )


def check_file(source):
    """Refuse a package that is a file of this host, and is not there. What this user may not look at is root's to find."""
    path = unquote(urlsplit(source).path) if source.startswith("file://") else source
    if "://" in path:
        return
    try:
        problem = "" if stat.S_ISREG(os.stat(path).st_mode) else "it is no file"
    except PermissionError:
        return
    except OSError as error:
        problem = error.strerror
    if problem:
        raise Failure(
            f"The Sysbox package {path} cannot be used: {problem}.",
            f"look with `ls -l {os.path.dirname(path)}`, and name the file with `-e sysbox_deb=/path/to/sysbox.deb`",
            "precondition",
        )


def refuse_live(params, current):
    """Refuse to replace Sysbox while containers of any engine run under it, unless they may break."""
    running = live([params["socket"], OTHER_SOCKET])
    if running and not params["restart_containers"]:
        raise Failure(
            f"Sysbox {current} cannot be replaced by {params['version']} while its containers run: {_names(running)}. They would break.",
            f"stop them with {_commands(running)} and run `cai setup` again, or use `-e sysbox_restart_containers=true`",
            "precondition",
        )


def refuse_removal(params, engine_stops):
    """Refuse to remove Sysbox under containers: another engine's in any case; ours unless their engine is stopped first."""
    ours = os.path.realpath(params["socket"])
    running = {path: names for path, names in live([params["socket"], OTHER_SOCKET]).items() if not (engine_stops and os.path.realpath(path) == ours)}
    if running:
        raise Failure(
            f"Sysbox cannot be removed while containers run under it: {_names(running)}.",
            f"stop them with {_commands(running)}, then run `cai uninstall` again",
            "precondition",
        )


def live(sockets):
    """Return {socket: names of the containers that run under Sysbox}; a socket that has two names counts once."""
    real = {}
    for path in sockets:
        real.setdefault(os.path.realpath(path), path)
    found = {path: sysbox_containers([path]) for path in real.values()}
    return {path: names for path, names in found.items() if names}


def _names(running):
    return ", ".join(name for names in running.values() for name in names)


def _commands(running):
    return " and ".join(f"`docker --host unix://{path} stop {' '.join(names)}`" for path, names in running.items())
