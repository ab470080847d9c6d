"""What a run would do to Sysbox, found and refused before anything is changed."""

from __future__ import annotations

import os

from ansible.module_utils import containai_sysbox_apparmor as profile
from ansible.module_utils.containai.record import Record
from ansible.module_utils.containai_sysbox_containers import about_rescued, dead_mounts, lost, names, refuse_removed, rescued, running, stopped
from ansible.module_utils.containai_sysbox_deb import PACKAGE, check_losses, installed, remains, scratch_folders
from ansible.module_utils.containai_sysbox_entry import is_right
from ansible.module_utils.containai_sysbox_health import RESTART
from ansible.module_utils.containai_sysbox_host import idle_units
from ansible.module_utils.containai_sysbox_needs import check_needs
from ansible.module_utils.containai_sysbox_rules import check_file, check_settings, check_sum, decide, refuse_live, refuse_removal
from ansible.module_utils.containai_sysbox_units import Files, wanted


def check_step(params, current, step):
    """Stop at whatever makes the step impossible, before anything changes; return the containers that it ends."""
    if step:
        check_sum(params)
    return refuse_live(params, current) if step in ("upgrade", "downgrade", "repair") else []


class State:
    """What is to be done, found before anything is changed."""

    def __init__(self, params):
        self.current, finished = installed()
        self.step, self.warning = decide(params, self.current, finished)
        self.ended = check_step(params, self.current, self.step)
        self.files = Files(wanted(params["socket"], params["data_roots"], params["program"]))
        self.sleeping = [] if self.step else idle_units()
        self.dead = dead_mounts()
        self.lost = [] if self.ended else lost(running(params["socket"], sure=False))
        if self.lost and params["restart_containers"]:
            refuse_removed(self.lost)
            self.ended = self.lost
        self.rescued = [(folder, found) for folder, found in map(rescued, params["data_roots"]) if found]
        self.unsettled = Record().unfinished_installation("sysbox") and not self.step  # a run was killed between dpkg's end and the record

    def tell(self, warn):
        """Warn of what the run leaves as it is."""
        if self.warning:
            warn(self.warning)
        for folder, found in self.rescued:
            what, way = about_rescued(folder, found)
            warn(f"{what}. To be rid of this, {way}.")
        if self.lost and not self.ended:
            warn(
                f"No Sysbox serves these containers any more, since it ended while they ran: {names(self.lost)}. Nothing new can be started "
                f"in them. {RESTART} stops them, gives their files back to their owners and starts them again. `docker cp` reads their files "
                "meanwhile; `docker commit` would keep wrong owners until then."
            )

    def actions(self, params):
        replaced = f"Sysbox {params['version']}" + (f" ({self.step} of {self.current})" if self.current else "")
        return [
            *self.files.actions,
            *({"verb": "stop", "what": f"container {one['name']} (started again afterwards)"} for one in self.ended),
            *([{"verb": "install" if self.step == "install" else "change", "what": replaced}] if self.step else []),
            *({"verb": "remove", "what": f"dead mount {path}"} for path in self.dead),
            *([{"verb": "start", "what": " ".join(self.sleeping)}] if self.sleeping else []),
        ]


def plan(params, warn):
    """Refuse now what the run would refuse later, after other parts have changed. Return what is still to be done."""
    check_settings(params)
    check_needs(params)
    state = State(params)
    if state.step:
        check_file(params["source"])
        check_losses(params["allow_removal"])
    needed = state.unsettled or bool(state.actions(params) or stopped() or scratch_folders())
    if not needed:  # the module that does it would say so
        state.tell(warn)
    return {
        "needed": needed,
        "runtime": is_right(params["daemon_json"], params["runtime"]),
        "apparmor": os.path.exists(profile.PROFILE),
        "version": state.current or "",
    }


def plan_removal(params):
    """Refuse now what a removal would refuse."""
    if removable():
        refuse_removal(params, engine_stops=True)


def ours():
    """Whether setup installed it, or began to."""
    record = Record()
    return PACKAGE in record.data.get("packages", []) or record.unfinished_installation("sysbox")


def removable():
    """Whether there is a Sysbox, or what is left of one, that setup installed."""
    return ours() and remains()
