"""Services that may not start while their packages come or go, whatever the packages' scripts and dpkg do."""

from __future__ import annotations

import contextlib
import os

MASKS = "/run/systemd/system"


@contextlib.contextmanager
def masked(services, reload):
    """Mask the services until the block is done; `reload` makes systemd see it. The masks lie in /run: a crash forgets them with the next boot."""
    masks = [os.path.join(MASKS, name) for name in services]
    if not masks:
        yield
        return
    try:
        for path in masks:
            if not os.path.lexists(path):
                os.symlink("/dev/null", path)
        reload()
        yield
    finally:
        for path in masks:
            if os.path.islink(path):
                os.unlink(path)
        reload()
