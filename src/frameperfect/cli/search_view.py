"""How a search goes, live: a table in a terminal, a line every so often in a pipe; and its keys."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from frameperfect.cli.app import console
from frameperfect.errors import FrameperfectError

if TYPE_CHECKING:
    from frameperfect.search import Driver, Problem, Progress
    from frameperfect.search.islands import Archipelago

EVERY = 10.0
"""Seconds between two lines in a pipe."""


class Interrupts:
    """Remembers Ctrl-C and SIGTERM, so that a search ends after a batch; a second one interrupts as usual."""

    def __init__(self) -> None:
        self._came = 0

    def came(self) -> bool:
        """Whether one came."""
        return self._came > 0

    def __enter__(self) -> Interrupts:
        self._before = {
            number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: Any) -> None:
        self._came += 1
        if self._came > 1:
            raise KeyboardInterrupt


class Keys:
    """What is typed, without waiting for Return; nothing where stdin is no terminal."""

    def __enter__(self) -> Keys:
        self._before: list[Any] | None = None
        # A process in the background must not touch the terminal: it would be stopped.
        with contextlib.suppress(ImportError, OSError, ValueError):
            import termios
            import tty

            if sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
                self._before = termios.tcgetattr(sys.stdin)
                tty.setcbreak(sys.stdin, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._before)

    def pressed(self, wait: float = 0.0) -> str:
        """The next key, or nothing after `wait` seconds."""
        if self._before is None:
            return ""

        there, _, _ = select.select([sys.stdin], [], [], wait)
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if there else ""


class View:
    """Shows progress, and pauses a search at `p` so that its rules can be edited."""

    def __init__(self, problem: Problem, interrupts: Interrupts) -> None:
        from rich.live import Live

        self._rate = problem.expander.machine.frame_rate
        self._problem, self._interrupts = problem, interrupts
        self._console = console()
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._keys = Keys()
        self._last = 0.0
        self._rows: list[tuple[str, str]] = []

    def __enter__(self) -> View:
        self._keys.__enter__()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        self._keys.__exit__()

    def say(self, text: str, style: str | None = None) -> None:
        """Print a sentence above the table."""
        self._console.print(text, style=style, markup=False, soft_wrap=not self._console.is_terminal)

    def show(self, now: Progress) -> None:
        """Show it, if it is time to."""
        if now.seconds - self._last < (0.2 if self._live is not None else EVERY):
            return
        self._last = now.seconds
        self._rows = self._told(now)
        if self._live is not None:
            self._live.update(_table([*self._rows, ("", "p pauses, to edit the rules")]))
        else:
            print("  ".join(f"{name} {value}" for name, value in self._rows), flush=True)

    # -- pausing -----------------------------------------------------------------------------------

    def pause(self, driver: Driver | Archipelago) -> None:
        """Where `p` was pressed: wait for the next one, then go on by the rules as they are by then."""
        if self._keys.pressed() != "p":
            return
        while self._wait():
            try:
                edited = driver.edit()
            except FrameperfectError as wrong:
                self.say(f"{wrong}; still paused, by the old rules", "red")
                continue
            self.say("Going on by the new rules." if edited else "Going on; the rules are as they were.")
            return

    def _wait(self) -> bool:
        """Until `p`; false where the search is to end."""
        game = self._problem.game
        where = f"{game.folder / 'game.toml'}" if game.folder is not None else "the rules"
        if self._live is not None:
            text = f"paused; edit {where}, then p goes on by it, Ctrl-C stops"
            self._live.update(_table([*self._rows, ("", text)]), refresh=True)
        while not self._interrupts.came():
            if self._keys.pressed(0.2) == "p":
                return True
        return False

    # -- telling -----------------------------------------------------------------------------------

    def _told(self, now: Progress) -> list[tuple[str, str]]:
        from frameperfect.view.progress import clock

        frames = self._problem.lead_frames + now.step * self._problem.section.frames
        fastest = "none yet"
        if now.best_frames is not None:
            fastest = f"{now.best_frames} frames, {now.best_frames / self._rate:.2f} s"
        left = clock(now.seconds / now.part - now.seconds) if now.part > 0 else "-"
        return [
            ("round", str(now.round + 1)),
            ("generation", f"{now.step:,} ({frames / self._rate:.2f} s of play)"),
            ("frontier", f"{now.frontier:,}"),
            ("fastest", fastest),
            ("best", now.best),
            ("states", f"{now.states:,} at {now.states_per_second:,.0f}/s"),
            ("seen before", f"{now.duplicates / max(now.states, 1):.1%}"),
            ("failed", f"{now.failed:,}"),
            ("dropped", f"{now.dropped:,}"),
            ("memory", f"{now.memory / (1 << 20):,.0f} MiB"),
            ("left", left),
            *((f"island {number}", told) for number, told in enumerate(now.islands, 1)),
        ]


def _table(rows: list[tuple[str, str]]) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table
