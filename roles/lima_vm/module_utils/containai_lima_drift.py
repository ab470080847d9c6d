"""What has to be done to a Lima instance, from what is there and what is wanted. Pure: nothing is read or run here."""

from __future__ import annotations

import re

# A change of these needs a new disk, which destroys what the guest holds; everything else is read at the next start.
IMMUTABLE = ("arch", "images", "user", "vmType")
UNITS = {"": 1, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
DEFAULT_DISK = "100GiB"
VERBS = {"create": "create", "start": "start", "stop": "restart", "delete": "remove", "repair": "change", "write": "change", "forward": "change"}


def size(text):
    """Bytes of a size as Lima reads it (`100GiB`, `4g`, a number); None where it is none."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?\s*", str(text).lower())
    if not match:
        return None
    shift = UNITS[match[2]]
    return int(float(match[1]) * (1 << shift if shift > 1 else 1))


def shrinks(stored, wanted):
    before, after = size(stored.get("disk") or DEFAULT_DISK), size(wanted.get("disk") or DEFAULT_DISK)
    return before is not None and after is not None and after < before


def drift(stored, wanted):
    """Return (keys that differ and need a recreation, keys that differ and need a restart)."""
    keys = sorted(key for key in {*stored, *wanted} if stored.get(key) != wanted.get(key))
    recreate = [key for key in keys if key in IMMUTABLE or (key == "disk" and shrinks(stored, wanted))]
    return recreate, [key for key in keys if key not in recreate]


def keep(stored, wanted, keys):
    """Return `wanted` with the values that `stored` has for `keys`: what can be had without a recreation."""
    kept = {key: value for key, value in wanted.items() if key not in keys}
    kept.update({key: stored[key] for key in keys if key in stored})
    return kept


def steps(state, status, write, recreate=False, dead=""):
    """Return the steps to `state`; names of Lima's methods.

    status: what Lima says, None where there is no instance. write: lima.yaml has to be renewed. dead: the step for a socket that does not work though it runs.
    """
    if state == "absent":
        return [] if status is None else ["delete"]
    if status is None:
        found = [] if state == "stopped" else ["create"]
    elif recreate:
        found = ["delete", "create"]
    elif status == "Running":
        found = (["stop"] if write or state == "stopped" else [dead] if dead else []) + (["write"] if write else [])
    else:
        found = (["repair"] if status != "Stopped" else []) + (["write"] if write else [])
    runs = status == "Running" and found in ([], ["forward"])
    again = state == "present" and status == "Running"
    return found + (["start"] if (state == "started" or again) and not runs else [])


def actions_of(names, name, reasons):
    """The steps as actions that are told, with what made them necessary."""
    because = f" ({'; '.join(reasons)})" if reasons else ""
    verbs = [VERBS[step] for step in names]
    if "restart" in verbs and "start" in verbs:
        verbs = [verb for verb in verbs if verb not in ("start", "change")]
    if names == ["stop"]:
        verbs = ["stop"]
    return [{"verb": verb, "what": f"Lima VM {name}{because if position == 0 else ''}"} for position, verb in enumerate(verbs)]
