"""Many runs on one host leave no more than one. usage: [SETUPS=50] [CYCLES=10] python -m tests.faults.soak"""

from __future__ import annotations

import json
import os
import statistics

from tests.faults.ground import UNINSTALL
from tests.hosts import engine, host
from tests.system import snapshot, stage
from tests.system.box import Box

NAME = "soak"
KEPT_RUNS = 20
# Numbers that grow, if anything does. dockerd clears the namespaces of ended containers away once a minute. /proc/net/nf_conntrack and the journal live by their own limits and are not counted.
COUNTS = {
    "files": "find /etc /usr /var/lib /opt /root /home /run /tmp -xdev -not -path '/var/lib/docker*' -not -path '/run/systemd/*' -not -path '/run/docker-containai/netns/*' -not -path '/home/dev/.local/*' -not -path '/run/log/*' -not -path '*/apt/lists/*' | wc -l",
    "engine's data": "find /var/lib/docker-containai 2>/dev/null | wc -l",
    "mounts": "wc -l </proc/mounts",
    "mounts below the engine": "nsenter -t $(systemctl show -p MainPID --value containai-docker) -m wc -l /proc/self/mounts 2>/dev/null | cut -d' ' -f1",
    "iptables rules": "for t in filter nat mangle raw; do iptables -w -t $t -S; done | wc -l",
    "iptables rules of the engine": "ip netns exec containai sh -c 'for t in filter nat mangle; do iptables -w -t $t -S; done' 2>/dev/null | wc -l",
    "nft lines": "nft list ruleset | wc -l",
    "network namespaces": "ip netns | wc -l",
    "links": "ip -o link | wc -l",
    "processes": "ps -e --no-headers | wc -l",
    "open files of the engine": "ls /proc/$(systemctl show -p MainPID --value containai-docker)/fd 2>/dev/null | wc -l",
    "backups": "ls -A /var/lib/containai/backup 2>/dev/null | wc -l",
    "downloads": "ls -A /var/lib/containai/downloads 2>/dev/null | wc -l",
    "sub-ids": "cat /etc/subuid /etc/subgid | wc -l",
    "log folders": "ls /home/dev/.local/state/containai/runs | wc -l",
    "loaded units": "systemctl list-units --all --no-legend --plain 'docker*' 'contain*' 'sysbox*' 'run-*' | wc -l",
}
# A shell of ours more or less, a service of systemd that has just ended.
SLACK = {"processes": 2, "open files of the engine": 4, "loaded units": 1}


def count(box: Box) -> dict[str, int]:
    """All numbers."""
    script = "".join(f"echo {json.dumps(name)}=$({line})\n" for name, line in COUNTS.items())
    found = dict(line.rpartition("=")[::2] for line in box.run("sh", "-s", stdin=script).splitlines())
    return {name: int(found[name] or 0) for name in COUNTS}


def grown(first: dict[str, int], last: dict[str, int]) -> list[str]:
    """What there is more of; the folders of the last runs are kept on purpose, up to a limit."""
    bad = []
    for name, before in first.items():
        limit = KEPT_RUNS if name == "log folders" else before + SLACK.get(name, 0)
        if last[name] > limit:
            bad.append(f"{name}: {before}, at the end {last[name]}")
    return bad


def timed(name: str, seconds: list[float]) -> str:
    """First, median, and how the last compares."""
    middle = statistics.median(seconds)
    return f"{name}: {len(seconds)} runs, first {seconds[0]:.1f} s, median {middle:.1f} s, last {seconds[-1]:.1f} s, last/median {seconds[-1] / middle:.2f}"


def setups(box: Box, number: int) -> list[str]:
    """One setup, then many that have nothing to do."""
    seconds, bad = [box.setup().seconds], []
    # The second run is the first of its kind: it may leave a folder for what all later ones leave too.
    again = box.cai("setup", "--json").expect(0)
    first = count(box)
    for _ in range(number - 2):
        again = box.cai("setup", "--json").expect(0)
        seconds.append(again.seconds)
        if again.document["changed"]:
            bad.append(f"a setup changed something: {again.document['actions']}")
    last = count(box)
    print(timed("setups in a row (the first one installs)", seconds))
    _show(first, last)
    return bad + grown(first, last)


def cycles(box: Box, pristine: dict[str, str], number: int) -> list[str]:
    """Setup and uninstall, again and again."""
    up, down, bad, states = [], [], [], []
    for _ in range(number):
        up.append(box.setup().seconds)
        down.append(box.cai(*UNINSTALL).expect(0).seconds)
        bad += snapshot.difference(pristine, box.snapshot())
        states.append(count(box))
    print(timed("setups of the cycles", up))
    print(timed("uninstalls of the cycles", down))
    _show(states[0], states[-1])
    return bad + grown(states[0], states[-1])


def _show(first: dict[str, int], last: dict[str, int]) -> None:
    print("  " + ", ".join(f"{name} {first[name]}->{last[name]}" for name in first), flush=True)


def main() -> int:
    """Run it; 1 when anything grew."""
    engine.up()
    try:
        box = stage.start(NAME, "bookworm")
        box.sh("apt-get -qq update")
        pristine = box.snapshot()
        bad = setups(box, int(os.environ.get("SETUPS", "50")))
        box.cai(*UNINSTALL).expect(0)
        bad += snapshot.difference(pristine, box.snapshot())
        bad += cycles(box, pristine, int(os.environ.get("CYCLES", "10")))
    finally:
        host.down(f"sys-{NAME}")
    for line in bad:
        print(f"grew: {line}")
    print("nothing grew" if not bad else f"{len(bad)} things grew or stayed")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
