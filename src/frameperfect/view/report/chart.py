"""Charts as inline SVG: their colours are the page's, so that they follow its light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.view.plots import Curve

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 72, 12, 14, 52
POINTS = 300
SERIES = 8
"""Colours that the page's style has."""
Level = tuple[float, float, float]


def learning_chart(
    curves: Sequence[Curve], levels: Mapping[str, Level], what: str = "Mean return", *, powers: bool = False
) -> str:
    """Mean returns (or `what`) over agent steps; `levels` are (mean, low, high) to compare with.

    With `powers`, what is above 0 on a scale of powers of ten.
    """
    known = [_known(_logarithm(curve) if powers else curve) for curve in curves]
    known = [curve for curve in known if len(curve.steps)]
    if not known:
        return '<p class="quiet">No episode has ended during training, so there is no curve.</p>'
    values = np.concatenate([curve.returns for curve in known] + [np.array(each) for each in levels.values()])
    low, high = float(values.min()), float(values.max())
    last = max(float(curve.steps[-1]) for curve in known)
    y_ticks, x_ticks = nice_ticks(low, high, 5), nice_ticks(0, last, 6)
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])

    def number(tick: float) -> str:
        return f"{10**tick:.2g}" if powers else short_number(tick)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1e-9)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / max(high - low, 1e-9)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{what} over agent steps">']
    for tick in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{number(tick)}</text>')
    for tick in x_ticks:
        if tick <= last:
            where = f'x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 22}"'
            parts.append(f'<text class="middle" {where}>{short_number(tick)}</text>')
    parts.append(f'<text class="middle" x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}">agent steps</text>')
    for place, (mean, least, most) in enumerate(levels.values(), len(known)):
        tall = max(y(least) - y(most), 0)
        parts.append(
            f'<rect class="band s{place % SERIES}" x="{LEFT}" y="{y(most):.1f}" '
            f'width="{WIDTH - LEFT - RIGHT}" height="{tall:.1f}"/>'
            f'<path class="level s{place % SERIES}" d="M{LEFT} {y(mean):.1f}H{WIDTH - RIGHT}"/>'
        )
    for place, curve in enumerate(known):
        chosen = np.unique(np.linspace(0, len(curve.steps) - 1, POINTS).round().astype(int))
        pairs = zip(curve.steps[chosen], curve.returns[chosen], strict=True)
        path = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in pairs)
        parts.append(f'<path class="curve s{place % SERIES}" d="M{path}"/>')
    parts.append("</svg>")
    names = [*(curve.label for curve in known), *levels]
    keys = "".join(
        f'<span><i class="key s{i % SERIES}"></i>{html.escape(name)}</span>' for i, name in enumerate(names)
    )
    return "".join(parts) + f'<p class="legend">{keys}</p>'


def whisker(mean: float, low: float, high: float, least: float, most: float) -> str:
    """A mean and its interval on a scale from `least` to `most`, as wide as its cell."""

    def x(value: float) -> float:
        return 4 + 192 * (value - least) / max(most - least, 1e-9)

    return (
        '<svg class="whisker" viewBox="0 0 200 16" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="grid" d="M4 8H196"/><path class="range" d="M{x(low):.1f} 8H{x(high):.1f}"/>'
        f'<rect x="{x(mean) - 2:.1f}" y="2" width="4" height="12"/></svg>'
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from at most `low` to at least `high`."""
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # no span worth a scale
        high = low + 1
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, last + 1)]


def short_number(value: float) -> str:
    """1.5M, 20k, 300, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _logarithm(curve: Curve) -> Curve:
    return Curve(curve.label, curve.steps, np.log10(np.where(curve.returns > 0, curve.returns, np.nan)))


def _known(curve: Curve) -> Curve:
    finite: NDArray[np.bool_] = np.isfinite(curve.returns)
    return Curve(curve.label, curve.steps[finite], curve.returns[finite])
