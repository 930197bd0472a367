"""Learning curves as PNG, drawn off screen.

Of several seeds a curve is their mean, and the band around it the 95 % interval of that mean: bootstrapped
over the seeds at each point, as Agarwal et al. 2021 (arXiv:2108.13264) advise for a handful of runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.atomic import replacing
from frameperfect.errors import MissingComponent

POINTS = 400
DRAWS = 2000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What one training run was worth as it went: mean returns over agent steps, both (n,)."""

    label: str
    steps: NDArray[np.float64]
    returns: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Band:
    """The mean of several curves with its 95 % interval, all (n,)."""

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def band(curves: Sequence[Curve]) -> Band:
    """The mean of curves where all of them are known."""
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    grid = np.linspace(first, max(first, last), POINTS)
    values = np.stack([np.interp(grid, curve.steps, curve.returns) for curve in curves])
    drawn = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    # how often each curve was drawn, over their number: one matrix product makes all the means
    weights = (drawn[:, :, None] == np.arange(len(values))).mean(1)
    low, high = np.quantile(weights @ values, (0.025, 0.975), axis=0)
    return Band(grid, values.mean(axis=0), low, high)


def draw_comparison(
    groups: Mapping[str, Sequence[Curve]], path: Path, title: str, *, over: str = "agent steps"
) -> None:
    """Draw groups of curves, each as its mean with the band, and write a PNG.

    Raises:
        MissingComponent: Matplotlib is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    figure, axes = _axes(title, over)
    some = False
    for place, (label, curves) in enumerate(groups.items()):
        known = [curve for curve in map(_known, curves) if len(curve.steps)]
        if not known:
            continue
        some = True
        _draw_band(
            axes, band(known), f"C{place}", f"{label}{f', {len(known)} seeds' if len(known) > 1 else ''}"
        )
    _finish(figure, axes, path, some, some)


def draw_learning_curve(
    curves: Sequence[Curve],
    path: Path,
    title: str,
    *,
    levels: Mapping[str, float | tuple[float, float, float]] | None = None,
) -> None:
    """Draw `curves` (several: faint, with their mean and its band) and write a PNG.

    `levels` are horizontal lines to compare with, a value or (mean, low, high); the band is the interval.

    Raises:
        MissingComponent: Matplotlib is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    figure, axes = _axes(title, "agent steps")
    drawn = [_known(curve) for curve in curves]
    drawn = [curve for curve in drawn if len(curve.steps)]
    several = len(drawn) > 1
    for place, curve in enumerate(drawn):
        style = {"alpha": 0.45, "linewidth": 1} if several else {"linewidth": 2}
        axes.plot(curve.steps, curve.returns, color=f"C{place}", label=curve.label, **style)
    if several:
        _draw_band(axes, band(drawn), "black", f"mean of {len(drawn)}, 95 % interval")
    for place, (name, level) in enumerate((levels or {}).items()):
        colour = f"C{len(drawn) + place}"
        mean, low, high = level if isinstance(level, tuple) else (level, level, level)
        axes.axhline(mean, color=colour, linestyle="--", linewidth=1.5, label=f"{name} {mean:.1f}")
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)
    _finish(figure, axes, path, bool(drawn), bool(drawn or levels))


def _axes(title: str, over: str) -> tuple[Any, Any]:
    """An empty figure for returns over something."""
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
    axes.set(title=title, xlabel=over, ylabel="mean return of the last 100 episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_band(axes: Any, found: Band, colour: str, label: str) -> None:
    axes.plot(found.steps, found.mean, color=colour, linewidth=2, label=label)
    axes.fill_between(found.steps, found.low, found.high, color=colour, alpha=0.15, linewidth=0)


def _finish(figure: Any, axes: Any, path: Path, drawn: bool, legend: bool) -> None:
    """Write the figure."""
    if not drawn:
        axes.text(0.5, 0.5, "no episode has ended", transform=axes.transAxes, ha="center", color="0.4")
    if legend:
        axes.legend(frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _known(curve: Curve) -> Curve:
    """Without the points before the first episode ended."""
    known = np.isfinite(curve.returns)
    return Curve(curve.label, curve.steps[known], curve.returns[known])
