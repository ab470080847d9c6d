"""Say how far a long step is, in the file that the command's live line shows; an empty path says nothing."""

from __future__ import annotations

import contextlib
import os
import stat
import threading


def tell(path, text):
    """Replace what the file says. It is the user's, and this may run as root: no link is followed, no pipe waited for."""
    if not path:
        return
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as handle:
            there = os.fstat(fd)
            if stat.S_ISREG(there.st_mode) and there.st_nlink == 1:  # a second name could be a file of root's
                handle.truncate(0)
                handle.write(f"{text}\n")


def size(done, whole):
    """Say "39%, 12.1 of 31.0 MB" of two numbers of bytes; `whole` may be unknown."""
    if not whole:
        return f"{done / 1e6:.1f} MB"
    return f"{done * 100 // whole}%, {done / 1e6:.1f} of {whole / 1e6:.1f} MB"


def followed(run, argv, path):
    """Run an apt-get command with `run(argv, **more)`, and tell meanwhile what apt says of its progress."""
    if not path:
        return run(argv)
    reader, writer = os.pipe()
    # A daemon, and not waited for long: a service that a maintainer script started could hold the pipe open.
    thread = threading.Thread(target=_follow, args=(reader, path), daemon=True)
    thread.start()
    try:
        return run([argv[0], "-o", f"APT::Status-Fd={writer}", *argv[1:]], pass_fds=(writer,))
    finally:
        os.close(writer)
        thread.join(2)
        tell(path, "")


def _follow(reader, path):
    with os.fdopen(reader, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            said = of_apt(line)
            if said:
                tell(path, said)


def of_apt(line):
    """Say "44%, unpacking docker.io" of a line of APT::Status-Fd; "" of one that is about something else.

    The format (apt's README.progress-reporting): kind:package:percent:description.
    """
    kind, _, rest = line.strip().partition(":")
    package, _, rest = rest.partition(":")
    percent, _, text = rest.partition(":")
    try:
        part = f"{float(percent):.0f}%"
    except ValueError:
        return ""
    if kind == "dlstatus":
        return f"{part}, downloading"
    text = text.partition(" (")[0]  # the architecture
    return f"{part}, {text[:1].lower()}{text[1:]}" if kind == "pmstatus" and package and text else ""
