"""Compare two snapshots of a host. A difference that a run of cai could have made is a fault; what others did by themselves meanwhile is a note.

Pure: snapshots in, texts out. A snapshot that lacks a part (seen without root's rights, an engine that did not answer) is compared without it.
"""

from __future__ import annotations

import collections
import ipaddress
import re

from ansible.module_utils.containai_links import PASSING

ADDRESS = re.compile(r"(?<![\w.:-])(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+)(?![\w.-])")
WIDE = re.compile(r"\d+\.\d+\.\d+\.\d+/(?!32\b)\d+|[0-9a-f]*:[0-9a-f:]*/(?!128\b)\d+")  # networks, which are no hosts
SHOWN = 5
UNKNOWN = "the engine at /var/run/docker.sock did not answer in time, so its containers were not compared"


class Comparison:
    """Two snapshots. `faults` are what the run could have caused, `notes` what others did; `removed(package)`: whether another apt removed it.

    `upgraded(package)`: whether this run upgraded it, as it was asked to.
    """

    def __init__(self, before, after, removed=None, upgraded=None):
        self.before, self.after = before, after
        self.faults, self.notes = [], []
        self._things()
        seen = len(self.faults)
        self._engine()
        self._containers(touched=len(self.faults) > seen)
        self._packages(removed, upgraded)
        self._links()
        self._rules()
        self._zones()

    def _things(self):
        old, new = self.before["things"], self.after["things"]
        self.faults += [f"{name}: {old.get(name)} before, {new.get(name)} now" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]

    def _engine(self):
        for unit, old in self.before["units"].items():
            new = self.after["units"].get(unit)
            if old is not None and new is not None and old != new:
                self._unit(unit, old, new)
        old, new = self.before["engine"], self.after["engine"]
        if "unknown" in (old["answers"], new["answers"]):
            self.notes.append(UNKNOWN)
            return
        if old["answers"] == "no" and new["answers"] == "yes":
            self.notes.append("an engine answers at /var/run/docker.sock, where none did before")
            return
        for what, key in (("engine at", "id"), ("process behind", "process"), ("owner of", "owner")):
            # Who could not be seen before may be seen now.
            if old[key] is not None and old[key] != new[key] and (new[key] is not None or key != "process" or new["id"] is None):
                self.faults.append(f"the {what} /var/run/docker.sock: {old[key]} before, {new[key]} now")

    def _unit(self, unit, old, new):
        if not new or not old or old["UnitFileState"] != new["UnitFileState"] or old["LoadState"] != new["LoadState"]:
            self.faults.append(f"{unit}: {_state(old)} before, {_state(new)} now")
        elif old["ActiveState"] == "active" and (old["InvocationID"] != new["InvocationID"] or new["ActiveState"] in ("inactive", "failed")):
            self.faults.append(f"{unit} was stopped or restarted: {_state(old)} before, {_state(new)} now")
        else:  # it was starting, stopping or failing before this run
            self.notes.append(f"{unit}: {_state(old)} before, {_state(new)} now")

    def _containers(self, touched):
        if "unknown" in (self.before["engine"]["answers"], self.after["engine"]["answers"]):
            return
        for identity, old in self.before["containers"].items():
            new, name = self.after["containers"].get(identity), f"the container {old['name']}"
            if new is not None and (old["pid"], old["started"]) == (new["pid"], new["started"]):
                self._ports(name, old["ports"], new["ports"])
            elif touched:
                self.faults.append(f"{name}: {_life(old)} before, {_life(new)} now")
            else:
                self.notes.append(f"{name} {'ended' if new is None else 'was started again'} during the run; its engine was not touched")
        started = [new["name"] for identity, new in self.after["containers"].items() if identity not in self.before["containers"]]
        if started:
            self.notes.append(f"started during the run: {_some([f'the container {name}' for name in started])}")

    def _ports(self, name, old, new):
        for port, was in old.items():
            now = new.get(port)
            if now is None:
                self.notes.append(f"{name} does not publish {port} any more")
                continue
            for what, lost in (("listens", "nobody listens"), ("forwarded", "no rule forwards it")):
                if was[what] and not now[what]:
                    self.faults.append(f"{name} still runs, but its port {port} is closed: {lost} any more")

    def _packages(self, removed, upgraded):
        old, new = self.before["packages"], self.after["packages"]
        for name, version in old.items() if new else ():
            if name not in new:
                there = f"the package {name} {version} was removed"
                (self.notes if removed and removed(name) else self.faults).append(there)
            elif new[name] != version and not (upgraded and upgraded(name)):
                self.notes.append(f"the package {name} is now {new[name]}, before it was {version}")

    def _links(self):
        old, new = self.before["links"], self.after["links"]
        for name in sorted({*old} - {*new}):
            passing = PASSING.match(name) or old[name] in ("bridge", "wlan")  # a bridge of an engine stays as long as its network does
            if passing and (name not in self.before["networks"] or name not in self.after["networks"]):
                self.notes.append(f"the link {name} is gone")
            else:
                self.faults.append(f"the link {name} is gone")
        if "docker0" in new and "docker0" not in old and self.after["engine"]["answers"] == "no":
            self.faults.append("the link docker0 is new, and no other engine answers that could have made it")
        kept = {_ends(route) for route in self.after["routes"]}
        for route in sorted({*self.before["routes"]} - {*self.after["routes"]}):
            name = route.rpartition(" ")[2]
            if name not in new or PASSING.match(name) or _ends(route) in kept:
                self.notes.append(f"the route {route} is gone")
            else:
                self.faults.append(f"the route {route} is gone")

    def _rules(self):
        lost = []
        for table, old in self.before["rules"].items() if self.after["rules"] else ():
            gone = collections.Counter(old) - collections.Counter(self.after["rules"].get(table, []))
            for rule in gone.elements():
                policy = rule.startswith(":")
                if policy and self.before["forwarding"] != self.after["forwarding"] and rule.startswith(":FORWARD "):
                    continue  # ours: forwarding was turned on or off, and the chain closed or opened with it
                if rule.startswith(":FORWARD ACCEPT") and self.after["forwarding"]:
                    continue  # ours: the chain that was closed with forwarding had been opened since, and is closed again
                (self.notes if not policy and self._passed(rule) else lost).append(f"the firewall rule in {table} is gone: {rule}")
        self.faults += lost[:SHOWN] + ([f"and {len(lost) - SHOWN} more firewall rules are gone"] if len(lost) > SHOWN else [])

    def _passed(self, rule):
        """Whether a rule is about something that went by itself: a container, a link, an address that is not the machine's."""
        links = {*self.before["links"]} - {*self.after["links"]}
        if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", rule) for name in links):
            return True
        hosts = set(filter(None, map(_host, ADDRESS.findall(WIDE.sub("", rule)))))
        if "unknown" in (self.before["engine"]["answers"], self.after["engine"]["answers"]):
            return bool(hosts)
        alive = {address for identity, item in self.after["containers"].items() for address in item["addresses"] if self._same(identity)}
        subnets = {ipaddress.ip_network(subnet) for one in (self.before, self.after) for subnets in one["networks"].values() for subnet in subnets}
        own = {*self.before["addresses"], *self.after["addresses"], *alive}
        return any(ipaddress.ip_address(host) in subnet for host in hosts - own for subnet in subnets)

    def _same(self, identity):
        old, new = self.before["containers"].get(identity), self.after["containers"].get(identity)
        return old is not None and (old["pid"], old["started"]) == (new["pid"], new["started"])

    def _zones(self):
        old, new = self.before["zones"], self.after["zones"]
        links = {*self.before["links"]} ^ {*self.after["links"]}
        for zone, lines in old.items() if new else ():
            gone = [line for line in lines if line not in new.get(zone, [])]
            for line in gone:
                head, _, words = line.partition(": ")
                now = next((other for other in new.get(zone, []) if other.startswith(f"{head}:")), "")
                lost = {*words.split()} - {*now.partition(": ")[2].split()} - links
                if head == "interfaces" and not lost:
                    continue
                self.faults.append(f"firewalld's zone {zone}: {line} before, {now or 'nothing'} now")


def _state(state):
    return "not in use" if not state else ", ".join(f"{key}={value}" for key, value in state.items())


def _life(container):
    return f"pid {container['pid']}, started {container['started']}" if container else "not running"


def _some(names):
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _ends(route):
    """Where a route leads and through which link: another gateway is another lease."""
    words = route.split()
    return words[0], words[-1]


def _host(text):
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
