"""A sweep as PNG: how the trials went, and what each setting did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MissingComponent
from frameperfect.view.atomic import replacing

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


def draw_sweep(trials: Sequence[Trial], log: Collection[str], path: Path, title: str) -> None:
    """Draw the trials' curves, those stopped early in grey, and the end of each over each of its settings; the
    settings in `log` on a scale of powers.

    Raises:
        MissingComponent: Matplotlib is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    except ImportError:
        raise MissingComponent("a sweep's plot needs Matplotlib: pip install 'frameperfect[view]'") from None
    names = list(dict.fromkeys(name for trial in trials for name in trial.settings))
    ended = [trial for trial in trials if trial.value is not None]
    best = max(ended, key=lambda trial: trial.value or 0.0, default=None)
    rows = -(-len(names) // COLUMNS)
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
    for place, name in enumerate(names):
        panel = figure.add_subplot(grid[1 + place // COLUMNS, place % COLUMNS], sharey=None)
        values = [trial.settings[name] for trial in ended if name in trial.settings]
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        ends = [trial.value for trial in ended if name in trial.settings]
        if numbers:
            xs: list[Any] = values
            if name in log:
                panel.set_xscale("log")
        else:  # texts and lists stand side by side
            texts = sorted({str(value) for value in values})
            xs = [texts.index(str(value)) for value in values]
            panel.set_xticks(range(len(texts)), texts, fontsize=7)
            panel.set_xlim(-0.5, len(texts) - 0.5)
        panel.scatter(xs, ends, s=18, color="C0", alpha=0.7, linewidth=0)
        if best is not None and name in best.settings:
            at = xs[[trial.number for trial in ended if name in trial.settings].index(best.number)]
            panel.scatter([at], [best.value], s=42, color=BEST, zorder=3)
        panel.set_title(name, fontsize=9)
        if place % COLUMNS == 0:
            panel.set_ylabel("at the end")
        panel.tick_params(labelsize=8)
    for each in figure.axes:
        each.grid(alpha=0.25)
        each.spines[["top", "right"]].set_visible(False)
    with replacing(path) as part:
        figure.savefig(part, format="png")
