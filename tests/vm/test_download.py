"""While the real limactl downloads an image, the live line has a count of its bytes that grows."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.hosts.shell import HostError
from tests.vm import limactl

PART, PARTS = 1 << 20, 6
TEMPLATE = """vmType: qemu
arch: x86_64
images: [{{location: "{url}", arch: x86_64}}]
plain: true
"""


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends an image in parts, as a line of some megabits does."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(PART * PARTS))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        with contextlib.suppress(BrokenPipeError):  # limactl is ended when enough was seen
            for _ in range(PARTS):
                self.wfile.write(bytes(PART))
                time.sleep(0.5)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/disk.img"
    server.shutdown()
    server.server_close()


def load_progress() -> ModuleType:
    """The role's own code, which is on no path of Python's."""
    path = Path(__file__).resolve().parents[2] / "roles/lima_vm/module_utils/containai_lima_progress.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_live_line_counts_the_bytes_of_a_real_download(url: str) -> None:
    try:
        program = limactl.ensure()
    except HostError as error:
        pytest.skip(str(error))
    progress = load_progress()
    seen: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cai-lima-") as name:
        home, template, line = Path(name), Path(name, "x.yaml"), Path(name, "line")
        template.write_text(TEMPLATE.format(url=url))
        words = ["env", "-i", f"HOME={home}", f"PATH={os.environ['PATH']}", f"LIMA_HOME={home}/l", "USER=nobody"]
        command = [*words, str(program), "start", "--tty=false", "--name=x", str(template)]
        if os.geteuid() == 0:  # limactl refuses root
            subprocess.run(["chown", "-R", "nobody", name], check=True)
            command = ["runuser", "-u", "nobody", "--", *command]
        with (
            progress.telling(str(line), str(home / "no-log-yet"), progress.cache({}, str(home))),
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as child,
        ):
            end = time.monotonic() + 60
            while len(seen) < 3 and child.poll() is None and time.monotonic() < end:
                said = line.read_text().strip() if line.exists() else ""
                if said and said not in seen:
                    seen.append(said)
                time.sleep(0.1)
            child.terminate()
    print(seen)
    counts = [float(said.removesuffix(" MB")) for said in seen]
    assert len(counts) >= 3
    assert counts == sorted(counts)
