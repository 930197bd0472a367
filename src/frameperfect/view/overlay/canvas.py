"""Drawing on a picture in place. Everything is clipped: nothing that lies outside is an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frameperfect.view.overlay.text import LINE, inked, plain_line, text_width

Colour: TypeAlias = tuple[int, int, int]

FAR = 1 << 20
"""Coordinates are cut to this, which is outside of every picture."""


class Canvas:
    """An (H, W, 3) uint8 RGB picture that is drawn on; x goes right, y down, in its pixels.

    Opacity is 0 (nothing) to 1 (covers what was there). A coordinate that is not a number draws nothing.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self.picture = picture
        self.height, self.width = picture.shape[:2]

    def text(self, x: float, y: float, text: str, colour: Colour, back: Colour | None = None) -> None:
        """One line of text, `text_width` wide and LINE high, its left top at x, y; `back` fills behind it."""
        if not _finite(x, y):
            return
        left, top = _whole(x), _whole(y)
        line = None if back is None else plain_line(text, colour, back)
        place = self._clip(left, top, text_width(text), LINE)
        if place is None:
            return
        rows, columns, own_rows, own_columns = place
        part = self.picture[rows, columns]
        if line is not None:
            part[:] = line[own_rows, own_columns]
            return
        rest, ink = inked(text, colour)
        mixed = rest[own_rows, own_columns] * part
        mixed += ink[own_rows, own_columns]
        mixed >>= 8
        part[:] = mixed

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: int = 1) -> None:
        """A straight line, both ends included."""
        self.polyline([(x0, y0), (x1, y1)], colour, width)

    def polyline(self, points: ArrayLike, colour: Colour, width: int = 1) -> None:
        """Straight lines from each of the (N, 2) points to the next; a point of NaN interrupts it."""
        at = np.asarray(points, np.float64).reshape(-1, 2)
        if len(at) < 2:
            return
        for shift in _nib(width):
            rows, columns = _pixels(at[:-1] + np.array(shift), at[1:] + np.array(shift), self)
            self.picture[rows, columns] = colour

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """The outline of a rectangle, one pixel wide, inside of it."""
        right, bottom = x + width - 1, y + height - 1
        if width < 1 or height < 1:
            return
        self.filled(x, y, width, 1, colour)
        self.filled(x, bottom, width, 1, colour)
        self.filled(x, y, 1, height, colour)
        self.filled(right, y, 1, height, colour)

    def filled(
        self, x: float, y: float, width: float, height: float, colour: Colour, opacity: float = 1
    ) -> None:
        """A rectangle."""
        if not _finite(x, y, width, height):
            return
        left, top = _whole(x), _whole(y)
        place = self._clip(left, top, _whole(x + width) - left, _whole(y + height) - top)
        if place is not None:
            part = self.picture[place[0], place[1]]
            if opacity >= 1:
                part[:] = colour
            else:
                _blend(part, np.array(colour, np.uint16), opacity)

    def image(
        self, x: float, y: float, picture: NDArray[np.uint8], opacity: float | NDArray[np.floating[Any]] = 1
    ) -> None:
        """Another (h, w, 3) picture, its left top at x, y; `opacity` may be one a pixel, (h, w)."""
        if not _finite(x, y):
            return
        place = self._clip(_whole(x), _whole(y), picture.shape[1], picture.shape[0])
        if place is not None:
            rows, columns, own_rows, own_columns = place
            part, other = self.picture[rows, columns], picture[own_rows, own_columns]
            if isinstance(opacity, np.ndarray):
                _blend(part, other, opacity[own_rows, own_columns, None])
            elif opacity >= 1:
                part[:] = other
            else:
                _blend(part, other, opacity)

    def plot(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        values: Sequence[float] | NDArray[Any],
        colour: Colour,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """A strip that shows `values` from left to right, the first at x, the last at the right end.

        `low` lies at the bottom and `high` at the top; without them, the least and the greatest value do.
        """
        if not _finite(x, y, width, height) or width < 1 or height < 1:
            return
        at = np.asarray(values, np.float64)
        if len(at) > width:  # a pixel shows one value
            at = at[np.linspace(0, len(at) - 1, int(width)).round().astype(np.intp)]
        known = at[np.isfinite(at)]
        if not len(known):
            return
        low = float(known.min()) if low is None else low
        high = float(known.max()) if high is None else high
        span = high - low
        # A constant has no scale of its own: it lies in the middle.
        part = (at - low) / span if span > 0 else np.where(np.isfinite(at), 0.5, np.nan)
        across = np.linspace(x, x + width - 1, len(at)) if len(at) > 1 else np.array([x, x + width - 1])
        down = y + (height - 1) * (1 - np.clip(part, 0, 1))
        if len(down) == 1:
            down = np.repeat(down, 2)
        self.polyline(np.stack([across, down], axis=1), colour)

    def _clip(self, left: int, top: int, width: int, height: int) -> tuple[slice, slice, slice, slice] | None:
        """Rows and columns of the picture that a rectangle covers, and the same in the rectangle's own."""
        x0, x1 = max(left, 0), min(left + width, self.width)
        y0, y1 = max(top, 0), min(top + height, self.height)
        if x0 >= x1 or y0 >= y1:
            return None
        return slice(y0, y1), slice(x0, x1), slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def _finite(*numbers: float) -> bool:
    return all(math.isfinite(number) for number in numbers)


def _whole(number: float) -> int:
    return round(min(max(number, -FAR), FAR))


def _blend(part: NDArray[np.uint8], over: NDArray[Any], opacity: float | NDArray[np.floating[Any]]) -> None:
    weight = np.rint(256 * np.clip(opacity, 0.0, 1.0)).astype(np.uint16)
    mixed = part * (np.uint16(256) - weight)
    mixed += over * weight
    mixed >>= 8
    part[:] = mixed


def _nib(width: int) -> list[tuple[int, int]]:
    """The shifts at which a thin line is drawn again to make a wide one."""
    if width <= 1:
        return [(0, 0)]
    first = -(width - 1) // 2
    return [(first + i, first + j) for i in range(width) for j in range(width)]


def _pixels(
    begin: NDArray[np.float64], end: NDArray[np.float64], canvas: Canvas
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the canvas' pixels on the segments from `begin` to `end`, both (N, 2)."""
    known = np.isfinite(begin).all(axis=1) & np.isfinite(end).all(axis=1)
    begin, end = np.clip(begin[known], -FAR, FAR), np.clip(end[known], -FAR, FAR)
    # Liang and Barsky (1984): the part of each segment, from t0 to t1, that lies inside all four edges.
    step = end - begin
    low, high = np.array([-0.5, -0.5]), np.array([canvas.width - 0.5, canvas.height - 0.5])
    with np.errstate(divide="ignore", invalid="ignore"):
        enter, leave = (low - begin) / step, (high - begin) / step
    still = step == 0
    inside = (begin >= low) & (begin < high)
    enter, leave = np.minimum(enter, leave), np.maximum(enter, leave)
    enter = np.where(still, np.where(inside, -np.inf, np.inf), enter)
    leave = np.where(still, np.where(inside, np.inf, -np.inf), leave)
    t0, t1 = np.maximum(enter.max(axis=1), 0), np.minimum(leave.min(axis=1), 1)
    seen = t0 <= t1
    begin, step, t0, t1 = begin[seen], step[seen], t0[seen], t1[seen]
    first, last = begin + step * t0[:, None], begin + step * t1[:, None]
    # Each segment has as many pixels as its longer side; all are laid out in one row.
    counts = np.ceil(np.abs(last - first).max(axis=1)).astype(np.intp) + 1 if len(first) else np.zeros(0, int)
    segment = np.repeat(np.arange(len(counts)), counts)
    along = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    part = along / np.maximum(counts - 1, 1)[segment]
    at = first[segment] + (last - first)[segment] * part[:, None]
    columns, rows = np.rint(at).astype(np.intp).T
    within = (columns >= 0) & (columns < canvas.width) & (rows >= 0) & (rows < canvas.height)
    return rows[within], columns[within]
