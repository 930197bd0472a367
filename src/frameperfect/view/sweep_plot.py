"""A sweep as PNG: how the trials went, and what each setting did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.atomic import replacing
from frameperfect.errors import MissingComponent

COLUMNS = 3
GREY, BEST = "0.7", "C3"


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: mean returns over agent steps, both (n,), and the settings that were tried."""

    number: int
    value: float | None
    """The mean return at its end; None where it was stopped early."""
    steps: NDArray[np.float64]
    returns: NDArray[np.float64]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """What was searched of one setting: numbers from `low` to `high`, or `choices`."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: Sequence[Any] = ()


def draw_sweep(trials: Sequence[Trial], scales: Mapping[str, Scale], path: Path, title: str) -> None:
    """Draw the trials' curves, those stopped early in grey, and the end of each over each of its settings.

    Raises:
        MissingComponent: Matplotlib is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter, LogFormatterSciNotation, MaxNLocator, NullFormatter
    except ImportError:
        raise MissingComponent("a sweep's plot needs Matplotlib: pip install 'frameperfect[view]'") from None
    ended = [trial for trial in trials if trial.value is not None]
    best = max(ended, key=lambda trial: trial.value or 0.0, default=None)
    rows = -(-len(scales) // COLUMNS)
    figure = Figure(figsize=(9, 3.6 + 2.2 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[1.6] + [1] * rows)
    axes = figure.add_subplot(grid[0, :])
    for trial in trials:
        style: dict[str, Any] = {"color": "C0", "alpha": 0.45, "linewidth": 1}
        if trial is best:
            style = {"color": BEST, "linewidth": 2.2, "zorder": 3, "label": f"trial {trial.number}, the best"}
        elif trial.value is None:
            style = {"color": GREY, "linewidth": 1}
        axes.plot(trial.steps, trial.returns, **style)
    if len(ended) > 1:
        axes.plot([], [], color="C0", alpha=0.45, label="ended")
    if len(ended) < len(trials):
        axes.plot([], [], color=GREY, label="stopped early")
    axes.set(title=title, xlabel="agent steps", ylabel="mean return")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend(frameon=False, loc="upper left")
    first = None
    for place, (name, scale) in enumerate(scales.items()):
        panel = figure.add_subplot(grid[1 + place // COLUMNS, place % COLUMNS], sharey=first)
        first = first or panel
        if scale.choices:  # side by side, however far apart they are
            panel.set_xticks(range(len(scale.choices)), [_text(choice) for choice in scale.choices])
            panel.set_xlim(-0.5, len(scale.choices) - 0.5)
        elif scale.log:
            panel.set_xscale("log")
            panel.set_xlim(scale.low / 1.2, scale.high * 1.2)
            panel.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=True))
            panel.xaxis.set_minor_formatter(NullFormatter())
        else:
            margin = 0.04 * (scale.high - scale.low)
            panel.set_xlim(scale.low - margin, scale.high + margin)
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=scale.high - scale.low >= 3))
        for trial in ended:
            value = trial.settings[name]
            at = list(scale.choices).index(value) if scale.choices else value
            size, colour = (42, BEST) if trial is best else (18, "C0")
            panel.scatter(
                [at], [trial.value or 0.0], s=size, color=colour, linewidth=0, zorder=2 + (trial is best)
            )
        panel.set_title(name, fontsize=9)
        if place % COLUMNS == 0:
            panel.set_ylabel("mean return", fontsize=9)
        panel.tick_params(labelsize=8)
    for each in figure.axes:
        each.grid(alpha=0.25)
        each.spines[["top", "right"]].set_visible(False)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _text(choice: Any) -> str:
    return "×".join(map(str, choice)) if isinstance(choice, tuple) else str(choice)
