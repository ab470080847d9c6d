"""What a fleet in check mode costs: the machine's CPU time for each host, as a multiple of `ansible -m ping`, and the controller's memory.

The targets are converged and light: eight hosts under many names, so that 200 of them fit on one machine. Nothing else should run beside it, since CPU time is the whole
machine's: the controller's and the hosts'. SIZES="10 200" chooses other sizes (10 and 40 take six minutes on two cores). Nothing is asserted about time.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from tests.hosts import paths
from tests.system.fleet import Fleet

SIZES = [int(word) for word in os.environ.get("SIZES", "10 40").split()]
HOSTS, FORKS = 8, "10"


def busy() -> float:
    """Seconds that this machine's processors have worked since its start."""
    words = Path("/proc/stat").read_text().split()
    user, nice, system, _, _, interrupts, soft = map(int, words[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def spent(what: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds and seconds that it takes."""
    cpu, start = busy(), time.monotonic()
    what()
    return busy() - cpu, time.monotonic() - start


def test_check_mode_of_a_fleet(tmp_path: Path, measured: Callable[[str], None]) -> None:
    fleet = Fleet(tmp_path)
    rows = []
    try:
        for number in range(HOSTS):
            fleet.add(f"light-{number}", "noble", dress="linux", state="converged")
        targets = [fleet.inventory[f"light-{number}"] for number in range(HOSTS)]
        for size in SIZES:
            fleet.inventory = {f"host-{number:03}": targets[number % HOSTS] for number in range(size)}

            def ping() -> None:
                done = fleet.run("ansible", "all", "-i", fleet.listed(), "-m", "ping", "--forks", FORKS)
                assert done.returncode == 0, done.stdout + done.stderr

            def check() -> None:
                code, text, report = fleet.play("site.yml", "--check", "--forks", FORKS)
                assert code == 0, text
                assert {one["outcome"] for one in report.values()} == {"ready"}, text
                assert len(report) == len(fleet.inventory)

            pinged, _ = spent(ping)
            checked, seconds = spent(check)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            rows.append(
                {"hosts": size, "seconds": round(seconds), "cpu_per_host": round(checked / size, 2), "ping": round(pinged / size, 2),
                 "ratio": round(checked / pinged, 1), "controller_mib": round(memory)}
            )  # fmt: skip
    finally:
        fleet.down()
    (paths.CACHE / "bench-fleet.json").write_text(json.dumps(rows, indent=2) + "\n")
    measured("hosts  seconds  CPU for each host  ping  ratio  controller")
    for row in rows:
        measured(
            f"{row['hosts']:5}  {row['seconds']:7}  {row['cpu_per_host']:15.2f} s  {row['ping']:.2f} s  {row['ratio']:4.1f}  {row['controller_mib']:6} MiB"
        )
