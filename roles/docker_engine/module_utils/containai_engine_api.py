"""Ask a Docker engine a question over its unix socket, without a docker CLI and its environment in between."""

from __future__ import annotations

import http.client
import json
import socket


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the unix socket `path`."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, question, timeout=10):
    """Return the answer to GET `question`, or None where no engine answers.

    A PermissionError is raised: it says nothing about the engine.
    """
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", question)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except PermissionError:
        raise
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
