"""A server on the host's own loopback that serves the Sysbox package, or misbehaves: the first part of the path says how."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.system.box import Box

PORT = 8765
SERVER = r"""
import http.server, pathlib, ssl, sys, time
deb, port, certificate = pathlib.Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), sys.argv[3:]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind = self.path.strip("/").partition("/")[0]
        if kind.isdigit():
            self.send_error(int(kind))
        elif kind == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif kind == "hang":
            self.send_response(200)
            self.send_header("Content-Length", str(len(deb)))
            self.end_headers()
            time.sleep(600)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(deb)))
            self.end_headers()
            self.wfile.write({"cut": deb[:1000], "page": b"<html>".ljust(len(deb))}.get(kind, deb))
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
# What a path is answered with, and a word of the message that has to tell it.
KINDS = {
    "403": "HTTP 403", "404": "HTTP 404", "500": "HTTP 500", "cut": "connection ended after 1000 of", "loop": "redirect", "page": "sha256",
    "hang": "timed out",
}  # fmt: skip


@contextlib.contextmanager
def serving(box: Box, deb: str, *, tls: tuple[bytes, bytes] | None = None) -> Iterator[str]:
    """Serve; yields the address. `tls`: certificate and key of an https server."""
    port, files = PORT + bool(tls), ""
    unit = f"server-{port}"
    box.write("/opt/server.py", SERVER)
    for data, path in zip(tls or (), ("/opt/server.crt", "/opt/server.key"), strict=False):
        box.write(path, data)
        files += f" {path}"
    box.sh(f"systemd-run --quiet --unit={unit} --collect python3 -IS /opt/server.py {deb} {port}{files}")
    box.sh(
        f"for i in $(seq 100); do bash -c '</dev/tcp/127.0.0.1/{port}' 2>/dev/null && exit 0; sleep 0.1; done; exit 1"
    )
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        box.sh(f"systemctl stop {unit}; rm -f /opt/server.*", check=False)
