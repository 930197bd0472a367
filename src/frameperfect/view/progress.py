"""How far something is: a bar in a terminal, a line every tenth of the way where output is piped."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from typing_extensions import Self

    from frameperfect.learn import Progress as TrainingProgress

LINES = 10


class ProgressLine:
    """A named bar with a text behind it; a context manager. The last text stays when it ends."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._bar: Progress | None = None
        self._task: Any = None
        self._text, self._printed = "", 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<16}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[text]}"),
                console=self._console,
            )
            self._task = self._bar.add_task(self._name, total=1.0, text="")
            self._bar.start()
        return self

    def update(self, part: float, text: str) -> None:
        """`part` of 1 is done; `text` says what came of it so far."""
        self._text = text
        part = min(max(part, 0.0), 1.0)
        if self._bar is not None:
            self._bar.update(self._task, completed=part, text=text)
        elif int(part * LINES) > self._printed:
            self._printed = int(part * LINES)
            self._console.print(f"{self._name}: {100 * part:.0f} %  {text}", soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def training_text(now: TrainingProgress) -> tuple[float, str]:
    """What `ProgressLine.update` shows of a training run: steps, steps/s, return and time left."""
    part = now.seconds / (now.seconds + now.seconds_left) if now.seconds else 0.0
    returns = "-" if math.isnan(now.mean_return) else f"{now.mean_return:.1f}"
    late = now.losses.get("staleness")  # only where actors play in processes of their own
    behind = "" if late is None or math.isnan(late) else f"{late:.0f} updates behind  "
    return part, (
        f"{now.steps:,} steps  {now.steps_per_second:,.0f} steps/s  return {returns}  {behind}"
        f"{clock(now.seconds_left)} left"
    )


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some: 1:05, 2:00:07."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
