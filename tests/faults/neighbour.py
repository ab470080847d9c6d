"""The other engine of the host: Debian's docker.io on its default socket, a container with a published port, a probe at 10 Hz."""

from __future__ import annotations

import json

from tests.hosts import paths
from tests.hosts.doubles import user_image
from tests.system.box import Box

RESOURCES = paths.ROOT / "molecule/resources"
COUNTS = "/run/probe.json"
# Without docker-proxy the port is nothing but rules of the packet filter: whoever flushes them cuts it off.
DROP_IN = """[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --userland-proxy=false
"""
PROBE = r"""
import http.client, json, os, sys, time
asked = failed = 0
reasons = []
due = time.monotonic()
while True:
    asked += 1
    try:
        link = http.client.HTTPConnection("127.0.0.1", 8080, timeout=2)
        link.request("GET", "/")
        if link.getresponse().status != 200:
            raise OSError("not 200")
        link.close()
    except Exception as error:
        failed += 1
        reasons = [*reasons, f"{time.strftime('%T')} {error!r}"][-5:]
    with open("@COUNTS@.new", "w") as file:
        json.dump([asked, failed, reasons], file)
    os.rename("@COUNTS@.new", "@COUNTS@")
    due = max(due + 0.1, time.monotonic())
    time.sleep(max(0.0, due - time.monotonic()))
""".replace("@COUNTS@", COUNTS)


class Neighbour:
    """The other engine, and what is known of it."""

    box: Box

    def __init__(self) -> None:
        self.asked = self.failed = 0
        self.reasons: list[str] = []

    def install(self, box: Box) -> None:
        """Bring it up, and begin to watch it."""
        self.box = box
        box.write("/root/user-image.tar", user_image.build().read_bytes())
        box.run("sh", "-s", stdin=(RESOURCES / "neighbour.sh").read_text())
        box.sh("systemctl stop neighbour-watch")  # the probe asks more often
        box.write("/etc/systemd/system/docker.service.d/ports.conf", DROP_IN)
        box.write("/opt/probe.py", PROBE)
        box.write("/opt/look.py", (RESOURCES / "look.py").read_bytes())
        box.sh("systemctl daemon-reload && systemctl restart docker")
        self.await_port()
        self.remember()

    def await_port(self) -> None:
        """Wait until its container serves."""
        self.box.sh(
            "for i in $(seq 100); do curl -fsS -m 2 -o /dev/null http://127.0.0.1:8080/ && exit 0; sleep 0.2; done; exit 1"
        )

    def remember(self) -> None:
        """Take what is there now for right, and probe from now on."""
        self.box.sh("python3 /opt/look.py remember")
        self.box.sh(
            f"systemd-run --quiet --unit=probe --collect python3 -IS /opt/probe.py; until [ -s {COUNTS} ]; do sleep 0.05; done"
        )

    def pause(self) -> None:
        """Stop the probe: the host is about to go down on purpose."""
        if self.box.ok("systemctl is-active --quiet probe"):
            self.count()
            self.box.sh(f"systemctl stop probe; rm -f {COUNTS}")

    def resume(self) -> None:
        """After a reboot: containers and rules are new ones."""
        self.await_port()
        self.remember()

    def count(self) -> None:
        """Add the running probe's numbers to the sums."""
        asked, failed, reasons = json.loads(self.box.sh(f"cat {COUNTS}"))
        self.asked, self.failed, self.reasons = self.asked + asked, self.failed + failed, self.reasons + reasons

    def failures(self) -> tuple[int, list[str]]:
        """How often it did not answer so far, and why."""
        _, failed, reasons = json.loads(self.box.sh(f"cat {COUNTS}"))
        return self.failed + failed, reasons

    def differences(self) -> list[str]:
        """What of it is not as remembered."""
        said = self.box.sh("python3 /opt/look.py changed", check=False)
        assert "ok " in said, said
        return [line.removeprefix("FAILED ").strip()[:600] for line in said.splitlines() if line.startswith("FAILED")]
