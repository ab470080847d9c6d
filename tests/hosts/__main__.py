"""`python3 -m tests.hosts`: engine, images, hosts and doubles from the command line."""

from __future__ import annotations

from .cli import main

raise SystemExit(main())
