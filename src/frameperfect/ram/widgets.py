"""Two views of a machine for a terminal: its memory as hex, and its picture in half blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from frameperfect import _native

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.memory import Domain

_PLAIN, _DIM, _ADDRESS = Style(), Style(color="grey50"), Style(color="cyan")
_CHANGED, _MARKED = Style(color="black", bgcolor="yellow"), Style(color="white", bgcolor="blue", bold=True)
_PER_ROW = 16


class HexView(ScrollView, can_focus=True):
    """A domain, 16 bytes a row, in the console's order; what changed since the last refresh stands out."""

    def __init__(self, machine: Machine, domain: Domain, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.machine = machine
        self.marked: set[int] = set()
        self.show(domain)

    def show(self, domain: Domain) -> None:
        """Turn to another domain."""
        self.domain = domain
        self.bytes = self._take()
        self.before = self.bytes
        self.virtual_size = Size(10 + 3 * _PER_ROW + 2 + _PER_ROW, -(-domain.size // _PER_ROW))

    def look(self) -> None:
        """Read memory again; what changed stands out until something else does."""
        now = self._take()
        if not np.array_equal(now, self.bytes):
            self.before, self.bytes = self.bytes, now
        self.refresh()

    def go_to(self, address: int) -> None:
        """Mark the byte at a console address and bring it into view."""
        offset = address - self.domain.base
        if 0 <= offset < self.domain.size:
            self.marked = {offset}
            self.scroll_to(y=max(0, offset // _PER_ROW - 4), animate=False)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of text: address, bytes, characters."""
        start = (y + round(self.scroll_offset.y)) * _PER_ROW
        if start >= self.domain.size:
            return Strip.blank(self.size.width)
        row = self.bytes[start : start + _PER_ROW].tolist()
        old = self.before[start : start + _PER_ROW].tolist()
        segments = [Segment(f"{self.domain.base + start:08X}  ", _ADDRESS)]
        styles = []
        for place, (now, before) in enumerate(zip(row, old, strict=True)):
            style = _DIM if now == 0 else _PLAIN
            style = _CHANGED if now != before else style
            styles.append(_MARKED if start + place in self.marked else style)
            segments += [Segment(f"{now:02X}", styles[-1]), Segment(" ")]
        segments.append(Segment("   " * (_PER_ROW - len(row)) + " "))
        segments += [Segment(chr(b) if 32 <= b < 127 else "·", s) for b, s in zip(row, styles, strict=True)]
        return Strip(segments).adjust_cell_length(self.size.width)

    def _take(self) -> NDArray[np.uint8]:
        out = np.empty(self.domain.size, np.uint8)
        _native.take_memory(self.machine.memory[self.domain.name], self.domain.swap, out)
        return out


class ScreenView(Widget):
    """The machine's picture, two pixels a character, as large as fits."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.picture: NDArray[np.uint8] = np.zeros((2, 2, 3), np.uint8)

    def show(self, picture: NDArray[np.uint8]) -> None:
        """(H, W, 3) uint8, shown as 4 to 3."""
        self.picture = picture
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Two rows of pixels."""
        rows = self.size.height * 2
        width = min(self.size.width, rows * 4 // 3)
        rows = min(rows, width * 3 // 4)
        if 2 * y + 1 >= rows or width == 0:
            return Strip.blank(self.size.width)
        upper, lower = (self._row(2 * y + half, rows, width) for half in (0, 1))
        segments = [
            Segment("▀", Style(color=f"rgb({a[0]},{a[1]},{a[2]})", bgcolor=f"rgb({b[0]},{b[1]},{b[2]})"))
            for a, b in zip(upper, lower, strict=True)
        ]
        return Strip(segments).adjust_cell_length(self.size.width)

    def _row(self, row: int, rows: int, width: int) -> list[list[int]]:
        """The colours of one row of so many, each the mean of the pixels that it stands for."""
        height, across, _ = self.picture.shape
        first = row * height // rows
        block = self.picture[first : max(first + 1, (row + 1) * height // rows)].mean(0)
        edges = np.arange(width) * across // width
        counts = np.maximum(1, np.diff(np.append(edges, across)))
        colours: list[list[int]] = (np.add.reduceat(block, edges) / counts[:, None]).astype(int).tolist()
        return colours
