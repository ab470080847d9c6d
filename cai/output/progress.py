"""A run as it happens: a live line and ticks on a terminal, plain lines elsewhere, Ansible's text when verbose."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cai import events
from cai.output.base import MARKS, component, styled
from cai.text import clean, duration, fit, line, wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_WIDEST = 78  # a tick that ends far from its name is not read with it


class View:
    """Shows the items of a run; a context manager, because the live line has to be erased at the end."""

    def __init__(
        self, out: Console, *, verbose: bool = False, brief: bool = False, progress: Path | None = None
    ) -> None:
        self.out = out
        self.verbose = verbose
        self.brief = brief  # a page follows that says it all: only the live line and warnings
        self.progress = progress
        self._live: Any = None
        self._task = ""
        self._since = time.monotonic()

    def __enter__(self) -> View:
        if self.out.is_terminal and not self.verbose:
            from rich.live import Live

            self._live = Live(console=self.out, get_renderable=self._line, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def show(self, item: events.Item) -> None:
        """Show one item as it comes."""
        match item:
            case events.Output() if self.verbose:
                self.out.print(clean(item.text), soft_wrap=True)
            case events.Step(status="running"):
                self._begin(item)
            case events.Step() if item.status in MARKS and not self._hidden(item):
                self._done(item)
            case events.Notice(kind="warning") if not self.verbose:
                self._warn(item.text)

    def _begin(self, step: events.Step) -> None:
        if step.quiet:
            return
        self._task, self._since = step.name, time.monotonic()
        if self.progress:
            self.progress.unlink(missing_ok=True)  # the step before may have left its last word

    def _hidden(self, step: events.Step) -> bool:
        return self.verbose or self.brief or (step.status == "ok" and step.quiet)

    def _done(self, step: events.Step) -> None:
        name = line(step.name) + (f" [{line(step.host)}]" if step.host not in ("", "localhost") else "")
        mark, word, colour = MARKS[step.status]
        if not self.out.is_terminal:
            self.out.print(f"{word:<8} {component(step.role)}: {name} ({duration(step.seconds)})", soft_wrap=True)
            return
        tail = f"  {'' if word == 'ok' else word} {duration(step.seconds):>5}"
        room = min(self.out.width, _WIDEST) - 2 - len(tail)
        text = styled(f"{mark} ", colour).append(f"{fit(name, room):<{room}}", style="default")
        self.out.print(text.append(tail, style="dim" if word == "ok" else colour), no_wrap=True)

    def _warn(self, text: str) -> None:
        mark, word, colour = MARKS["warning"]
        if text.lstrip().startswith("╔"):  # a drawing: the gate's box
            self.out.print(clean(text.strip("\n")), soft_wrap=True)
            return
        text = line(text)
        if self.out.is_terminal:
            shown = wrapped(text, self.out.width, f"{mark} ", 2)
            self.out.print(styled(shown[:2], colour).append(shown[2:], style="default"), soft_wrap=True)
        else:
            self.out.print(f"{word:<8} {text}", soft_wrap=True)

    def _line(self) -> Text:
        """Draw the running step; rich calls this eight times a second."""
        now = time.monotonic()
        tail = f"  {duration(int(now - self._since)).replace('.0', '')}"
        room = self.out.width - 2 - len(tail)
        name = fit(line(self._task) or "Starting", room)
        text = styled(f"{_FRAMES[int(now * 8) % len(_FRAMES)]} ", "cyan", no_wrap=True).append(name, style="default")
        # All that the step says of itself, or its first part, or nothing: its name comes first.
        said = self._said()
        shown = next(
            (some for some in (said, said.partition(", ")[0]) if some and len(name) + len(some) + 2 <= room), ""
        )
        return text.append(f"{'  ' if shown else ''}{shown}{tail}", style="dim")

    def _said(self) -> str:
        """Read what the running module says of itself, such as "39%, 12.1 of 31.0 MB"."""
        if self.progress is None:
            return ""
        try:
            with self.progress.open(encoding="utf-8", errors="replace") as file:
                return fit(line(file.readline(200)), 40)
        except OSError:
            return ""
