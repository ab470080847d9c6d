"""What the DOUBLES of sysbox-mgr and sysbox-fs share: start-up needs, a socket that answers a JSON line with one, the switches of the tests."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

VERSION = "@VERSION@"
PATH = os.defpath + ":/usr/sbin:/sbin"
# A file `hang-NAME` here holds the number of starts that hang, as some of the original's do under load.
SWITCHES = pathlib.Path("/var/lib/sysbox-double")


def notify(text):
    """sd_notify without its library."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def hang(name):
    """Never become ready, as often as the switch says."""
    switch = SWITCHES / f"hang-{name}"
    left = int(switch.read_text()) if switch.exists() else 0
    if left:
        switch.write_text(str(left - 1))
        time.sleep(3600)


def answer(channel, actions):
    """Answer one request: {"do": action, ...} gets {"error": text}."""
    with channel, channel.makefile("rw", encoding="utf-8") as stream:
        request = json.loads(stream.readline())
        try:
            actions[request.pop("do")](**request)
            error = ""
        except (LookupError, OSError, ValueError, subprocess.SubprocessError) as problem:
            error = str(problem)
            print(f"error: {error}", file=sys.stderr, flush=True)
        stream.write(json.dumps({"error": error}) + "\n")


def serve(name, file_name, needs, actions, begin, end):
    """Be that daemon until told to stop."""
    if "--version" in sys.argv:
        print(f"{name}\n\tedition: \tCommunity Edition (CE) (double)\n\tversion: \t{VERSION}\n\tcommit: \tdouble")
        return
    missing = [program for program in needs if not shutil.which(program, path=PATH)]
    if missing:
        sys.exit(f"{name}: preflight check failed: {missing[0]} is not installed on host")
    hang(name)
    begin()
    address = pathlib.Path("/run/sysbox", file_name)
    address.parent.mkdir(mode=0o700, exist_ok=True)
    address.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(address))
    server.listen(16)

    def stop(*_):
        address.unlink(missing_ok=True)
        end()
        os._exit(0)  # the threads that serve mounts would hold it

    signal.signal(signal.SIGTERM, stop)
    print(f"double of {name} {VERSION}; DOCKER_HOST={os.environ.get('DOCKER_HOST', '(default)')}", flush=True)
    notify("READY=1")
    while True:
        threading.Thread(target=answer, args=(server.accept()[0], actions), daemon=True).start()
