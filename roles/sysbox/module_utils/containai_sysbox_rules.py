"""What is refused before Sysbox is touched: settings that cannot be used, a package that is not there, containers that would break."""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import unquote, urlsplit

from ansible.module_utils.containai.errors import Failure, bad_setting
from ansible.module_utils.containai.process import output
from ansible.module_utils.containai.validation import check
from ansible.module_utils.containai_sysbox_containers import OTHER_SOCKET, live_mounts, names, refuse_removed, running
from ansible.module_utils.containai_sysbox_deb import newer

FILE = re.compile(r"/[^\x00-\x1f\x7f]*")


def for_this_host(params):
    """Return the parameters with dpkg's architecture in them, where none is given, and in the package's address."""
    architecture = params["architecture"] or output(["dpkg", "--print-architecture"], timeout=30).strip()
    return {**params, "architecture": architecture, "source": params["source"].replace("{architecture}", architecture)}


def check_settings(params):
    """Refuse what could be read as something else in the drop-in, in a file's name or by dpkg; and a path that depends on where the run stands."""
    check("docker_engine_socket", params["socket"], "path")
    check("sysbox_version", params["version"], "version")
    for architecture, sha256 in params["sha256"].items():
        check(f"sysbox_sha256.{architecture}", sha256, "sha256")
    if "://" in params["source"]:
        check("sysbox_deb", params["source"], "url")
    elif not FILE.fullmatch(params["source"]):
        raise bad_setting(
            f"The variable sysbox_deb is {ascii(params['source'])[:80]}; an absolute path or a URL is needed.",
            'write the path from the root on, such as `cai setup -e sysbox_deb="$HOME/sysbox.deb"`',
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
    """Return the containers, of any engine, that have to be stopped while Sysbox is replaced; refuse to end them unasked."""
    found = live(params["socket"])
    if found and not params["restart_containers"]:
        raise Failure(
            f"Sysbox {current} cannot be replaced by {params['version']} while its containers run: {names(found)}. They would break.",
            f"stop them with {_commands(found)} and run `cai setup` again, or have setup stop and start them: `-e sysbox_restart_containers=true`",
            "precondition",
        )
    refuse_removed(found)
    strangers = live_mounts() - {one["id"] for one in found} if os.geteuid() == 0 else set()  # who may not ask an engine knows none
    if strangers:
        raise Failure(
            f"Sysbox {current} cannot be replaced by {params['version']}: it serves containers of an engine that is not known here: "
            f"{', '.join(sorted(strangers))}.",
            "stop them in the engine that runs them (`ls /var/lib/sysboxfs` shows their ids), then `cai setup` again",
            "precondition",
        )
    return found


def refuse_removal(params, engine_stops):
    """Refuse to remove Sysbox under containers: another engine's in any case; ours unless their engine is stopped first."""
    found = running_elsewhere(params["socket"]) + ([] if engine_stops else running(params["socket"], ours=True))
    if found:
        raise Failure(
            f"Sysbox cannot be removed while containers run under it: {names(found)}.",
            f"stop them with {_commands(found)}, then run `cai uninstall` again",
            "precondition",
        )


def live(ours):
    """Return the containers that run under Sysbox, of the secure engine and of the other one."""
    return [*running(ours, ours=True), *running_elsewhere(ours)]


def running_elsewhere(ours):
    """Those of the other engine; an engine whose socket has two names counts once."""
    return [] if os.path.realpath(ours) == os.path.realpath(OTHER_SOCKET) else running(OTHER_SOCKET)


def _commands(found):
    sockets = dict.fromkeys(one["socket"] for one in found)
    return " and ".join(f"`docker --host unix://{path} stop {' '.join(one['name'] for one in found if one['socket'] == path)}`" for path in sockets)
