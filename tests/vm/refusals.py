"""What goes wrong before a VM runs, with the real limactl; each failure says what was found and what to type, and the next run goes on."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hosts.shell import say

from .scenario import Scenario, check


class Mirror(http.server.ThreadingHTTPServer):
    """A server of one image on loopback, in several states."""

    image: Path | None = None
    broken: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/guest.qcow2"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        image = self.server.image
        size = image.stat().st_size if image else len(self.server.broken)
        if not size:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(self.server.broken)
        if image:
            with image.open("rb") as handle, contextlib.suppress(ConnectionError):
                while part := handle.read(1 << 20):
                    self.wfile.write(part)

    do_HEAD = do_GET  # noqa: N815 (the library's name)

    def log_message(self, *words: Any) -> None:
        say(f"    mirror: {words[0] % words[1:]}")


@contextlib.contextmanager
def mirror() -> Iterator[Mirror]:
    """The server while it runs."""
    with Mirror(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


def refused(scene: Scenario, code: int, found: str, hint: str, *words: str, **more: Any) -> None:
    """A setup that ends with this code, these words and this hint."""
    errors = scene.cai("setup", *words, expect=code, **more)["errors"]
    check(len(errors) == 1, "one failure has one message")
    check(found in errors[0]["message"], f"the message says {found!r}")
    check("<" not in errors[0]["message"], "the message holds no page of a server")
    check(hint in errors[0]["hint"], f"the hint says {hint!r}")


def before_the_first_boot(scene: Scenario, server: Mirror, image: Path) -> None:
    """Too long a path, too little room, a missing and a wrong image."""
    too_long = {"LIMA_HOME": f"{scene.user.home}/{'x' * 90}"}
    refused(scene, 3, "is too long", "export LIMA_HOME=", environment=too_long)
    refused(scene, 3, "GiB are free", "make room", "-e", "lima_vm_min_free_disk_gib=9999999")
    check(scene.status() == "none", "a refusal made nothing")
    refused(scene, 1, "Not Found", "lima_vm_image_base_url")
    server.broken = b"not the image"
    refused(scene, 1, "expected digest", "limactl prune")
    server.broken, server.image = b"", image
    _a_disk_that_fills_up(scene)


def _a_disk_that_fills_up(scene: Scenario) -> None:
    """A small one, with nothing else on it, mounted for this run alone."""
    if os.geteuid() != 0:
        say("    not run: a disk that fills up (only root can mount one)")
        return
    small = scene.user.home / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=16m,mode=0777 none "{small}" && exec "$@"'
    around = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh")
    anyway = ("-e", "lima_vm_min_free_disk_gib=0")
    refused(scene, 1, "no space left", "make room", *anyway, around=around, environment={"LIMA_HOME": str(small)})


def a_start_that_takes_too_long(scene: Scenario) -> None:
    """A time limit that no boot keeps; the VM is stopped."""
    refused(scene, 1, "did not start (and is stopped now)", "lima_vm_start_timeout", "-e", "lima_vm_start_timeout=5")
    check(scene.status() == "Stopped", "what did not start is stopped")
