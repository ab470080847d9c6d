#!/usr/bin/python3
"""Looks at a test host with its own eyes: knows nothing of the roles, asks docker as user dev, systemctl, files and ports.

usage: look.py remember | changed [restarted] | verify isolated|forced [restarted]
"""

import hashlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import time

MEMORY = pathlib.Path("/root/remembered.json")
SETTINGS = pathlib.Path("/etc/docker/daemon.json")
HOME = pathlib.Path("/home/dev")
IMAGE = "cai-test-image:1"
FULL_MAP = ["0", "0", "4294967295"]
SYSBOX = {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}
UNITS = ("docker.service", "docker.socket")
problems = []


def run(*argv):
    """Exit code and output of a command."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout.strip()


def dev(line):
    """Run a shell line as a fresh login of the developer."""
    return run("su", "-", "dev", "-c", line)


def ours(words):
    """docker, through our context, as the developer."""
    return dev(f"docker --context containai-secure {words}")


def describe(path):
    """What makes two states of a file the same."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    facts = {"mode": oct(status.st_mode), "owner": [status.st_uid, status.st_gid]}
    if stat.S_ISLNK(status.st_mode):
        facts["target"] = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return facts


def contexts():
    """The stored docker contexts, except ours."""
    found = {}
    for path in sorted(HOME.glob(".docker/contexts/meta/*/meta.json")):
        name = json.loads(path.read_text())["Name"]
        if name != "containai-secure":
            found[name] = describe(path)
    return found


def rules():
    """Packet filter and NAT rules, except ours: a second dockerd in one network namespace flushes the first one's."""
    text = "\n".join(run("iptables", "-w", "10", "-t", table, "-S")[1] for table in ("filter", "nat"))
    return [line for line in text.splitlines() if not re.search(r"^#|CONTAINAI|cai0", line)]


def look():
    """Everything that setup must leave alone."""
    code, shown = dev("docker context show")
    _, listed = dev("docker -H unix:///var/run/docker.sock ps --format '{{.Names}}'")
    seen = {
        "context": shown if code == 0 else "default",
        "contexts": contexts(),
        "files": {str(path): describe(path) for path in (HOME / ".docker/config.json", HOME / ".docker/daemon.json")},
        "rules": rules(),
        "socket": describe(pathlib.Path("/var/run/docker.sock")),
        "units": {
            unit: [run("systemctl", "is-enabled", unit)[1].splitlines()[-1:], run("systemctl", "is-active", unit)[1]]
            for unit in UNITS
        },
    }
    if seen["socket"]:
        seen["default engine's containers"] = sorted(listed.splitlines())
        # A docker command that was there before stays what it was; where there was none, setup brings one.
        seen["docker command"] = describe(pathlib.Path("/usr/bin/docker"))
    code, state = dev(
        "docker -H unix:///var/run/docker.sock inspect -f '{{.State.Pid}} {{.State.StartedAt}}' neighbour"
    )
    seen["neighbour"] = state if code == 0 else None
    return seen


def check(what, good, details=""):
    """One line of the report."""
    print(f"{'ok     ' if good else 'FAILED '} {what}" + (f": {details}" if details and not good else ""))
    if not good:
        problems.append(what)


def compare(restarted):
    """What was remembered is still so. Returns the settings file of then."""
    before, after = json.loads(MEMORY.read_text()), look()
    if pathlib.Path("/run/containai-forwarding").exists():  # setup turned forwarding on, and closed FORWARD with it
        for seen in (before, after):
            seen["rules"] = [line for line in seen["rules"] if not line.startswith("-P FORWARD")]
    if restarted:
        for changed in ("neighbour", "rules"):
            before.pop(changed), after.pop(changed)
    for key in [key for key in before if key != "settings"]:
        # A package's docker.service that is new and off counts as none.
        same = before[key] == after.get(key) or (key == "units" and off(before[key]) and off(after[key]))
        check(f"unchanged: {key}", same, told(before[key], after.get(key)))
    return before["settings"]


def told(before, after):
    """Two states; of two long lists only what came and went."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return f"{before} became {after}"
    return (
        f"gone {[line for line in before if line not in after]}, new {[line for line in after if line not in before]}"
    )


def off(units):
    """No unit of another engine is active or starts at boot."""
    return all(active != "active" and enabled != ["enabled"] for enabled, active in units.values())


def settings(before):
    """daemon.json has the runtime in addition, and nothing else, in the old order and with the old mode."""
    expected = json.loads(before["text"]) if before else {}
    expected.setdefault("runtimes", {}).update(SYSBOX)
    text = SETTINGS.read_text() if SETTINGS.exists() else "{}"
    check("daemon.json gained one runtime and nothing else", json.dumps(json.loads(text)) == json.dumps(expected), text)
    if before:
        check(
            "daemon.json kept its mode and owner",
            describe(SETTINGS)["mode"] == before["mode"],
            describe(SETTINGS)["mode"],
        )


def engine(isolated):
    """Our engine, as the developer sees it."""
    for unit in ("containai-docker", "sysbox", "sysbox-mgr", "sysbox-fs"):
        check(f"{unit} is active", run("systemctl", "is-active", unit)[1] == "active")
    code, text = ours("info --format '{{json .Runtimes}}|{{.DefaultRuntime}}'")
    runtimes, _, default = text.rpartition("|")
    check("our engine lists sysbox-runc", code == 0 and "sysbox-runc" in json.loads(runtimes or "{}"), text)
    check("its default runtime is runc", default == "runc", default)
    ours("rm -f -v served web >/dev/null 2>&1")
    check("it loads an image", ours("load -q -i /tmp/user-image.tar")[0] == 0)
    code, text = ours(f"run --rm --network none {IMAGE} cat /proc/self/uid_map")
    check("runc does not isolate users (the control)", code == 0 and text.split()[-3:] == FULL_MAP, text)
    code, text = ours(
        f"run --rm --network none --runtime sysbox-runc {IMAGE} cat /proc/self/uid_map /proc/self/mountinfo"
    )
    if isolated:
        check("sysbox-runc maps users", code == 0 and len(text.split()) > 3 and text.split()[:3] != FULL_MAP, text)
        check("sysbox-runc mounts sysboxfs", "sysboxfs" in text, text)
    else:
        check("sysbox-runc meets the other listener", code != 0 and "busy" in text, text)


def archive():
    """A file that apt's own archive certainly has."""
    for path in pathlib.Path("/etc/apt").glob("sources.list.d/*.sources"):
        text = path.read_text()
        uri = re.search(r"^URIs: (http://\S+)", text, re.MULTILINE)[1]
        suite = re.search(r"^Suites: (\S+)", text, re.MULTILINE)[1]
        return f"{uri.rstrip('/')}/dists/{suite}/Release"
    return sys.exit("no apt sources")


def network(isolated):
    """Published ports, name resolution and the way out of our containers; the neighbour's port all along."""
    runtime = "--runtime sysbox-runc" if isolated else ""
    code, text = ours(f"run -d --name served {runtime} -p 8099:80 {IMAGE} httpd -f -h /www")
    check("a container with a published port starts", code == 0, text)
    own = re.search(r"inet ([\d.]+)", run("ip", "-4", "address", "show", "dev", "eth0")[1])[1]
    for address in ("127.0.0.1", own):
        check(f"its port answers on {address}", answers(f"http://{address}:8099/"))
    url = archive()
    code, text = ours(f"run --rm {runtime} {IMAGE} nslookup {url.split('/')[2]}")
    check("names resolve in a container", code == 0, text)
    # The archive may be slow to answer, or refuse once: that is its own affair.
    code, text = ours(
        f"run --rm {runtime} {IMAGE} sh -c 'for again in 1 2 3; do timeout 20 wget -q -O /dev/null {url} && exit 0; done; exit 1'"
    )
    check("a container reaches the world", code == 0, text)
    ours("rm -f -v served")
    check("the port closes with its container", not answers("http://127.0.0.1:8099/", 1))
    failures = pathlib.Path("/root/neighbour-failures")
    if pathlib.Path("/etc/systemd/system/neighbour-watch.service").exists():
        check("the neighbour's port answers", answers("http://127.0.0.1:8080/"))
        check(
            "the neighbour's port answered all the time",
            not failures.exists(),
            failures.read_text() if failures.exists() else "",
        )


def answers(url, attempts=20):
    """Whether the address serves, soon."""
    for _ in range(attempts):
        if run("curl", "-fsS", "-m", "3", "-o", "/dev/null", url)[0] == 0:
            return True
        time.sleep(0.25)
    return False


def main(command, *words):
    """Remember, or verify and exit 1 if anything is not as it should be."""
    if command == "remember":
        kept = {"text": SETTINGS.read_text(), **describe(SETTINGS)} if SETTINGS.exists() else None
        MEMORY.write_text(json.dumps({**look(), "settings": kept}))
        return 0
    before = compare(restarted="restarted" in words)
    if command == "changed":
        return 1 if problems else 0
    settings(before)
    os.system("install -m 644 /root/user-image.tar /tmp/user-image.tar")
    engine(isolated="isolated" in words)
    network(isolated="isolated" in words)
    return 1 if problems else 0


sys.exit(main(*sys.argv[1:]))
