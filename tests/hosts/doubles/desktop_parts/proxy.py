#!/usr/bin/python3 -IS
"""DOUBLE of Docker Desktop's WSL integration, a part of the tests: owns /var/run/docker.sock and answers as an engine.

Docker Desktop's real engine runs in another distro, so no dockerd is to be seen here: this answers by itself,
enough for `docker version`, `info`, `ps`, `images` and `inspect` of its one container; it runs none.
"""

import grp
import http.server
import json
import os
import pathlib
import re
import socketserver

SOCKET, PID_FILE = "/var/run/docker.sock", "/var/run/docker-desktop-proxy.pid"
VERSION = {"Version": "29.5.3", "ApiVersion": "1.54", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
RUNNING = {
    "Id": "d" * 64,
    "Names": ["/desktops-own"],
    "Image": "somebody/app",
    "State": "running",
    "Status": "Up 3 days",
    "Ports": [],
}
INFO = {
    "ID": "desktop",
    "Name": "docker-desktop",
    "OperatingSystem": "Docker Desktop",
    "ServerVersion": VERSION["Version"],
}
ANSWERS = {
    "/_ping": "OK",
    "/version": {**VERSION, "Platform": {"Name": "Docker Desktop"}},
    "/info": {**INFO, "Containers": 1, "DefaultRuntime": "runc", "Runtimes": {"runc": {"path": "runc"}}},
    "/containers/json": [RUNNING],
    f"/containers/{RUNNING['Id']}/json": {
        "Id": RUNNING["Id"],
        "Name": RUNNING["Names"][0],
        "State": {"Running": True, "Pid": 1, "StartedAt": "2024-01-01T00:00:00Z"},
        "HostConfig": {"Runtime": "runc"},
        "NetworkSettings": {"Ports": {}},
    },
    "/images/json": [],
}


class Handler(http.server.BaseHTTPRequestHandler):
    """The few read-only parts of the engine's API that the tests ask for."""

    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, body=True):
        path = re.sub(r"^/v1\.\d+", "", self.path.partition("?")[0])
        known = ANSWERS.get(path)
        data = (
            known
            if isinstance(known, str)
            else json.dumps({"message": "not in the double"} if known is None else known)
        )
        self.send_response(501 if known is None else 200)
        self.send_header("Api-Version", VERSION["ApiVersion"])
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "text/plain" if isinstance(known, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data.encode())

    def do_HEAD(self):
        self.answer(body=False)

    do_GET = do_POST = do_DELETE = answer


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread a connection."""

    daemon_threads = True


pathlib.Path(SOCKET).unlink(missing_ok=True)
with Server(SOCKET, Handler) as server:
    os.chown(SOCKET, 0, grp.getgrnam("docker").gr_gid)
    os.chmod(SOCKET, 0o660)
    pathlib.Path(PID_FILE).write_text(f"{os.getpid()}\n")
    server.serve_forever()
