"""Say how far the creation or the start of a VM is, in the file that the command's live line shows; an empty path says nothing.

Without a terminal limactl says nothing of it either: the image grows in its cache, and the boot's stages stand in the host agent's log.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import sys
import threading
import time

SECONDS = 0.5
REQUIREMENT = re.compile(r'(\w+) requirement (\d+) of (\d+): "?([^"]*)')


def cache(environment, home):
    """The folder in which limactl keeps what it downloads (Go's os.UserCacheDir)."""
    base = os.path.join(home, "Library", "Caches") if sys.platform == "darwin" else environment.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "lima", "download", "by-url-sha256")


def downloaded(folder):
    """Say "212.4 MB" of the download that is under way, "" where there is none."""
    sizes = []
    for path in glob.glob(os.path.join(glob.escape(folder), "*", "data.tmp*")):
        with contextlib.suppress(OSError):
            sizes.append(os.path.getsize(path))
    return f"{max(sizes) / 1e6:.1f} MB" if sizes else ""


def stage(log, began=0.0):
    """Say "essential 1 of 2, ssh" of the last stage in the host agent's log, or its last word; "" of a log from before `began`."""
    try:
        if os.path.getmtime(log) < began:
            return ""
        with open(log, encoding="utf-8", errors="replace") as handle:
            lines = handle.read()[-20000:].splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            if entry["level"] == "info":
                found = REQUIREMENT.search(entry["msg"])
                return f"{found[1]} {found[2]} of {found[3]}, {found[4]}" if found else entry["msg"].splitlines()[0]
    return ""


@contextlib.contextmanager
def telling(path, log, folder):
    """Tell twice a second, until the block is left."""
    if not path:
        yield
        return
    over = threading.Event()
    began = time.time()  # the log of an earlier start is no news

    def watch():
        while not over.wait(SECONDS):
            with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as handle:
                handle.write((downloaded(folder) or stage(log, began)) + "\n")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2)
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as handle:
            handle.write("\n")
