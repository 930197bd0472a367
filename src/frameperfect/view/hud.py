"""The panel beneath a picture: frame and time, the buttons held, the variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.view.overlay.text import LINE, clock_text, number_text, plain_line, text_width

MARGIN, MOST_LINES = 8, 6
BACK, DIM, TEXT, HELD = (18, 20, 26), (92, 98, 110), (226, 229, 235), (255, 176, 46)


class Hud:
    """Draws panels, (height, width, 3) uint8; `height` follows from what there is to show.

    `buttons` are the names of each port's buttons, `names` the variables. Variables that don't fit into six
    lines are left out, and the last place says how many.
    """

    def __init__(
        self, width: int, buttons: Sequence[Sequence[str]], names: Sequence[str], frame_rate: float
    ) -> None:
        self._rate = frame_rate
        self._ports = [list(port) for port in buttons if port]
        # A column holds "name value": the longest name, a space, and ten places for the value.
        column = text_width("0" * (max(map(len, names), default=0) + 12))
        columns = max(1, (width - 2 * MARGIN) // column)
        lines = min(MOST_LINES, -(-len(names) // columns))
        shown = len(names) if len(names) <= lines * columns else lines * columns - 1
        self.width = width
        self.height = 2 * MARGIN + LINE * (1 + len(self._ports) + lines)
        top = MARGIN + LINE * (1 + len(self._ports))
        places = [
            (MARGIN + i % columns * column, top + LINE * (i // columns)) for i in range(lines * columns)
        ]
        self._background = np.empty((self.height, width, 3), np.uint8)
        self._background[:] = BACK
        self._values = {}
        for name, (x, y) in zip(names[:shown], places, strict=False):
            self._put(self._background, x, y, name, DIM)
            self._values[name] = (x + text_width(name + " "), y)
        if shown < len(names):
            self._put(self._background, *places[shown], f"and {len(names) - shown} more", DIM)

    def draw(
        self, frame: int, masks: Sequence[int], values: Mapping[str, int | float], caption: str = ""
    ) -> NDArray[np.uint8]:
        """The panel of one frame."""
        panel = self._background.copy()
        self._put(panel, MARGIN, MARGIN, f"{clock_text(frame / self._rate)}   frame {frame}", TEXT)
        if caption:
            self._put(panel, self.width - MARGIN - text_width(caption), MARGIN, caption, DIM)
        for port, names in enumerate(self._ports):
            mask = masks[port] if port < len(masks) else 0
            x = MARGIN
            for bit, name in enumerate(names):
                self._put(panel, x, MARGIN + LINE * (1 + port), name, HELD if mask >> bit & 1 else DIM)
                x += text_width(name + " ")
        for name, (x, y) in self._values.items():
            self._put(panel, x, y, number_text(values.get(name, 0)), TEXT)
        return panel

    def _put(self, panel: NDArray[np.uint8], x: int, y: int, text: str, colour: tuple[int, int, int]) -> None:
        x = max(x, 0)
        line = plain_line(text, colour, BACK)
        panel[y : y + LINE, x : x + line.shape[1]] = line[:, : max(0, self.width - x)]
