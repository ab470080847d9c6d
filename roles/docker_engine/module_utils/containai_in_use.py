"""What "in use" means for the services of Docker's packages: they run, or start at boot or at a connection."""

from __future__ import annotations

from ansible.module_utils.containai.systemd import unit_state

DOCKER_UNITS = ("docker.service", "docker.socket")
CONTAINERD_UNIT = "containerd.service"
# The packages and folders that such a service needs.
CONTAINERD = {"containerd", "containerd.io", "runc"}
DOCKER = CONTAINERD | {"docker.io", "docker-cli", "docker-ce", "docker-ce-cli", "tini", "iptables"}
CONTAINERD_FOLDERS = ("/etc/containerd", "/etc/cni", "/var/lib/containerd", "/opt/containerd")
DOCKER_FOLDERS = (*CONTAINERD_FOLDERS, "/etc/docker", "/var/lib/docker")


def is_in_use(state):
    """Whether a unit is in use, by systemd's view of it (LoadState, ActiveState, UnitFileState)."""
    if state.get("LoadState") not in ("loaded", "masked"):
        return False
    active = state.get("ActiveState") not in ("inactive", "failed")
    return active or state.get("UnitFileState") in ("enabled", "enabled-runtime", "linked", "linked-runtime", "alias")


class InUse:
    """The services of Docker's packages that are in use now, and what has to stay for them."""

    def __init__(self):
        self.units = [unit for unit in (*DOCKER_UNITS, CONTAINERD_UNIT) if is_in_use(unit_state(unit))]
        self.docker = any(unit in DOCKER_UNITS for unit in self.units)

    @property
    def packages(self):
        """The names of the packages that stay."""
        return DOCKER if self.docker else CONTAINERD if self.units else set()

    @property
    def folders(self):
        """The folders that stay, with what is in them."""
        return DOCKER_FOLDERS if self.docker else CONTAINERD_FOLDERS if self.units else ()

    @property
    def groups(self):
        """The groups that stay."""
        return {"docker"} if self.docker else set()
