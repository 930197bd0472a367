"""Learning curves as PNG, drawn off screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MissingComponent
from frameperfect.view.atomic import replacing

POINTS = 400


@dataclass(frozen=True, slots=True)
class Curve:
    """What one training run was worth as it went: mean returns over agent steps, both (n,)."""

    label: str
    steps: NDArray[np.float64]
    returns: NDArray[np.float64]


def draw_learning_curve(
    curves: Sequence[Curve],
    path: Path,
    title: str,
    *,
    levels: Mapping[str, float | tuple[float, float, float]] | None = None,
) -> None:
    """Draw `curves` (several: faint, with their mean and the range between them) and write a PNG.

    `levels` are horizontal lines to compare with, a value or (mean, low, high); the band is the interval.

    Raises:
        MissingComponent: Matplotlib is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    except ImportError:
        raise MissingComponent(
            "a learning curve needs Matplotlib: pip install 'frameperfect[view]'"
        ) from None
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = [_known(curve) for curve in curves]
    drawn = [curve for curve in drawn if len(curve.steps)]
    several = len(drawn) > 1
    for place, curve in enumerate(drawn):
        style = {"alpha": 0.45, "linewidth": 1} if several else {"linewidth": 2}
        axes.plot(curve.steps, curve.returns, color=f"C{place}", label=curve.label, **style)
    if several:
        first, last = max(c.steps[0] for c in drawn), min(c.steps[-1] for c in drawn)
        grid = np.linspace(first, last, POINTS)
        values = np.stack([np.interp(grid, curve.steps, curve.returns) for curve in drawn])
        axes.plot(grid, values.mean(axis=0), color="black", linewidth=2, label=f"mean of {len(drawn)}")
        axes.fill_between(
            grid, values.min(axis=0), values.max(axis=0), color="black", alpha=0.08, linewidth=0
        )
    for place, (name, level) in enumerate((levels or {}).items()):
        colour = f"C{len(drawn) + place}"
        mean, low, high = level if isinstance(level, tuple) else (level, level, level)
        axes.axhline(mean, color=colour, linestyle="--", linewidth=1.5, label=f"{name} {mean:.1f}")
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set(title=title, xlabel="agent steps", ylabel="mean return of the last 100 episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if not drawn:
        axes.text(0.5, 0.5, "no episode has ended", transform=axes.transAxes, ha="center", color="0.4")
    if drawn or levels:
        axes.legend(frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _known(curve: Curve) -> Curve:
    """Without the points before the first episode ended."""
    known = np.isfinite(curve.returns)
    return Curve(curve.label, curve.steps[known], curve.returns[known])
