"""Draw the README's picture from a real run.

usage: make demo 2>&1 | tee demo.log; python scripts/picture.py demo.log docs/setup.svg

Shows what the first `cai setup` of the demo printed, as it was printed; nothing is made up and nothing is left out.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PROMPT = re.compile(r"dev@demo-wsl2:~\$ ")


def shown(log: str, line: str) -> list[str]:
    """Return the prompt's line and what followed it, up to the next prompt."""
    parts = PROMPT.split(log)
    said = next(part for part in parts if part.startswith((f"{line}\x1b", f"{line}\n", f"{line}\r")))
    rows = [row.rstrip("\r") for row in said.splitlines()[1:]]
    while rows and not Text.from_ansi(rows[-1]).plain.strip():
        rows.pop()
    return [f"\x1b[1m$ {line}\x1b[0m", *(row for row in rows if "password for" not in row)]


def main() -> int:
    log, target = Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2])
    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for row in shown(log, "cai setup"):
        console.print(Text.from_ansi(row), soft_wrap=True)
    picture = console.export_svg(title="cai setup", unique_id="cai")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # no page fetches fonts from elsewhere
    target.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
