"""The settings of docker_engine: which kind of text each is, and which places are another engine's."""

from __future__ import annotations

import os

from ansible.module_utils.containai.engine_api import LONGEST
from ansible.module_utils.containai.errors import bad_setting
from ansible.module_utils.containai.validation import check, check_dns, check_packages, check_proxy, on_ipv6_loopback
from ansible.module_utils.containai_data_root import holds_data, refused
from ansible.module_utils.containai_storage import file_system, is_unfit

SPECIAL = {"dns": check_dns, "proxy": check_proxy, "allow_removal": check_packages}
KINDS = {
    "socket": "path", "data_root": "path", "daemon_json": "path", "group": "group",
    "apt_url": "url", "apt_key_url": "url", "apt_key_fingerprint": "fingerprint",
}  # fmt: skip
# Another role's, which has to move the same file.
NAMES = {"daemon_json": "sysbox_daemon_json"}


def check_all(settings, prefix):
    """Check {variable without the prefix: value}; every variable has to be known here."""
    for name, value in settings.items():
        if name in SPECIAL:
            SPECIAL[name](prefix + name, value)
        else:
            check(NAMES.get(name, prefix + name), value, KINDS[name])


# Who listens there is not ours: a dockerd would put its own socket in the place of theirs.
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/docker/containerd/containerd.sock")


def check_places(settings, prefix):
    """Refuse, for an engine beside others, the places of others, and what it could not reach. The settings have passed check_all."""
    for name, value in settings.get("proxy", {}).items():
        if name.lower() != "no_proxy" and on_ipv6_loopback(value):
            raise bad_setting(f"The variable {prefix}proxy.{name} names [::1], which the engine's network does not reach; 127.0.0.1 is needed.")
    socket, data_root = settings.get("socket"), settings.get("data_root")
    if socket and os.path.realpath(socket) in map(os.path.realpath, SOCKETS):
        raise bad_setting(f"The variable {prefix}socket is {socket}, which is another engine's; a path of its own is needed.")
    if socket and len(os.fsencode(socket)) > LONGEST:
        raise bad_setting(f"The variable {prefix}socket is {socket[:40]}..., of {len(os.fsencode(socket))} bytes; at most {LONGEST} are needed.")
    if socket and not os.path.isdir(os.path.dirname(os.path.realpath(socket))):
        raise bad_setting(f"The variable {prefix}socket is {socket}, whose folder is not there; a path in a folder such as /run is needed.")
    reason = refused(data_root) if data_root else None
    if reason:
        raise bad_setting(f"The variable {prefix}data_root is {data_root}, {reason}; a folder of its own is needed.")
    if data_root and not holds_data(data_root) and is_unfit(file_system(data_root)):
        kind = file_system(data_root)
        raise bad_setting(f"The variable {prefix}data_root is {data_root}, which is on {kind}; a folder on ext4, xfs or btrfs is needed.")
