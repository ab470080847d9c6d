"""What an apt transaction would take from the host. apt is asked before it is let at work; what it would remove or downgrade is refused."""

from __future__ import annotations

import json
import re
from collections import namedtuple

# Packages that cai did not ask for are not removed, whatever the host's apt.conf says.
OPTIONS = ("-o", "APT::Get::AutomaticRemove=false")
LINE = re.compile(r"^(?P<verb>Remv|Purg|Inst) (?P<name>[^ :]+)(?::\S+)?(?: \[(?P<old>[^ \]]+)\])?(?: \((?P<new>\S+))?", re.MULTILINE)
# What Docker's own packages conflict with, for a plan made before apt has Docker's lists.
CONFLICTS = {"docker-ce": ("docker.io", "docker-engine"), "containerd.io": ("containerd", "runc")}

Loss = namedtuple("Loss", "name text")


def simulated(run, words):
    """Return [(verb, package, installed version, new version)] of an apt-get command; None if apt cannot plan it."""
    result = run(["apt-get", "-qq", "--simulate", *OPTIONS, *words])
    return None if result.returncode != 0 else [found.group("verb", "name", "old", "new") for found in LINE.finditer(result.stdout)]


def losses(run, words):
    """Return what the command would remove or downgrade; None if apt cannot plan it (as with packages that its lists do not know yet)."""
    planned = simulated(run, words)
    return None if planned is None else lost_in(run, planned)


def lost_in(run, planned):
    """Return what a plan, as `simulated` returns it, removes or downgrades."""
    lost = [Loss(name, f"remove {name} {old or ''}".strip()) for verb, name, old, _ in planned if verb in ("Remv", "Purg")]
    for verb, name, old, new in planned:
        if verb == "Inst" and old and new and run(["dpkg", "--compare-versions", new, "lt", old]).returncode == 0:
            lost.append(Loss(name, f"downgrade {name} from {old} to {new}"))
    return lost


def purged_with(run, names):
    """Return what else a purge of these packages removes. dpkg sees at once that nothing needs them; apt, which plans for seconds, tells who does."""
    if run(["dpkg", "--no-act", "--purge", *names]).returncode == 0:
        return set()
    return {name for verb, name, _, _ in simulated(run, ["purge", *names]) or [] if verb != "Inst"} - set(names)


def expected(run, wanted):
    """Return what the packages would remove as far as the installed packages and CONFLICTS tell."""
    fields = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Conflicts}, ${Breaks}\n"
    listing = run(["dpkg-query", "-W", "-f", fields]).stdout
    installed = [line.split("\t") for line in listing.splitlines() if line.count("\t") == 3 and line[1:2] not in ("n", "c")]
    refused = {other for name in wanted for other in CONFLICTS.get(name, ())}
    lost = []
    for _, name, version, relations in installed:
        # One with a version in parentheses may or may not hold.
        foes = {relation.strip() for relation in relations.split(",") if "(" not in relation}
        if name not in wanted and (name in refused or foes & set(wanted)):
            lost.append(Loss(name, f"remove {name} {version}"))
    return lost


def unwanted(lost, allowed):
    """Return (what apt would do, the option that allows it) if packages would go that nobody allowed to go; None otherwise."""
    taken = [loss for loss in lost if loss.name not in allowed]
    if not taken:
        return None
    option = "docker_engine_allow_removal=" + json.dumps([loss.name for loss in taken])
    return " and ".join(loss.text for loss in taken), f"-e '{option}'"
