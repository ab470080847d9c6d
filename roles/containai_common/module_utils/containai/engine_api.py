"""Ask a Docker engine a question over its unix socket, without a docker CLI and its environment in between."""

from __future__ import annotations

import http.client
import json
import os
import socket

LONGEST = 107  # bytes of a unix socket's path that the kernel takes


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
    try:
        status, answer = _request("GET", path, question, timeout)
        return json.loads(answer) if status == 200 else None
    except PermissionError:
        raise
    except (OSError, ValueError, http.client.HTTPException):
        return None


class NoAnswer(Exception):
    """Somebody holds the socket and does not answer as an engine does: it is slow, stopped or in trouble. That is not the same as no engine."""


def answer(path, question, timeout):
    """Return the answer to GET `question`; None only if nobody listens on the socket, or the engine says that there is no such thing.

    Raises NoAnswer, and PermissionError.
    """
    if len(os.fsencode(path)) > LONGEST:
        return None
    try:
        status, data = _request("GET", path, question, timeout)
        if status not in (200, 404):
            raise NoAnswer(f"status {status}")
        return json.loads(data) if status == 200 else None
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


def stop_container(path, identity, seconds=10):
    """Stop a container as `docker stop` does. Return what the engine objects, or an empty string; one that has ended already is no objection."""
    try:
        status, answer = _request("POST", path, f"/containers/{identity}/stop?t={seconds}", seconds + 60)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status in (200, 204, 304, 404) else answer.decode("utf-8", "replace").strip() or f"status {status}"


def _request(verb, path, what, timeout):
    connection = UnixConnection(path, timeout)
    try:
        connection.request(verb, what)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
