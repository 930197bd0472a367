"""Overlays in panels at the picture's edges: a gamepad, variables, the reward, the actions' chances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.view.overlay.canvas import Canvas, Colour
from frameperfect.view.overlay.history import History
from frameperfect.view.overlay.scene import Scene
from frameperfect.view.overlay.text import LINE, number_text, text_width

BACK, EDGE, OFF = (14, 16, 22), (70, 76, 90), (52, 57, 69)
DIM, TEXT, LIT = (166, 172, 184), (238, 240, 245), (255, 176, 46)
GOOD, BAD = (94, 201, 120), (240, 96, 84)
MARGIN, PAD, OPACITY = 8, 6, 0.84


def panel(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """A dark ground that lets the game shine through."""
    canvas.filled(x, y, width, height, BACK, OPACITY)
    canvas.box(x, y, width, height, EDGE)


# -- the gamepad -------------------------------------------------------------------------------------------

DIRECTIONS = {"up": (1, 0), "left": (0, 1), "right": (2, 1), "down": (1, 2)}
CELL, KEY = 16, 22
Place = tuple[int, int, int, int]


class Inputs:
    """A small gamepad for each port, at the left bottom; what is held lights up."""

    def __init__(self) -> None:
        self._pads: dict[tuple[str, ...], _Gamepad] = {}

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw them."""
        x = MARGIN
        for port, names in enumerate(scene.controllers):
            key = tuple(names)
            pad = self._pads.get(key) or self._pads.setdefault(key, _Gamepad(key))
            pad.draw(canvas, x, canvas.height - MARGIN - pad.height, scene.held(port))
            x += pad.width + MARGIN


class _Gamepad:
    """The directions as a cross, the buttons of short names beside it, those of long names beneath."""

    def __init__(self, names: Sequence[str]) -> None:
        self.places: dict[str, Place] = {}
        cross = [name for name in names if name.lower() in DIRECTIONS]
        for name in cross:
            column, row = DIRECTIONS[name.lower()]
            self.places[name] = (PAD + column * CELL, PAD + row * CELL, CELL, CELL)
        left = 2 * PAD + 3 * CELL if cross else PAD
        short = [name for name in names if name not in cross and len(name) <= 2]
        long = [name for name in names if name not in cross and len(name) > 2]
        columns = max(2, -(-len(short) // 2)) if len(short) > 2 else max(len(short), 1)
        top = PAD + (3 * CELL - KEY) // 2 if len(short) <= 2 else PAD
        for place, name in enumerate(short):
            column, row = place % columns, place // columns
            self.places[name] = (left + column * (KEY + 4), top + row * (KEY + 4), KEY, KEY)
        x, beneath = PAD, PAD + 3 * CELL + PAD
        for name in long:
            width = text_width(name) + 6
            self.places[name] = (x, beneath, width, LINE)
            x += width + 4
        right = max((x0 + width for x0, _, width, _ in self.places.values()), default=0)
        bottom = max((y0 + height for _, y0, _, height in self.places.values()), default=0)
        self.width, self.height = right + PAD, bottom + PAD
        self._off, self._on = self._picture(OFF, DIM), self._picture(LIT, BACK)

    def _picture(self, colour: Colour, label: Colour) -> NDArray[np.uint8]:
        """All buttons in one state."""
        picture = np.empty((self.height, self.width, 3), np.uint8)
        picture[:] = BACK
        canvas = Canvas(picture)
        canvas.box(0, 0, self.width, self.height, EDGE)
        for name, (x, y, width, height) in self.places.items():
            canvas.filled(x + 1, y + 1, width - 2, height - 2, colour)
            if name.lower() not in DIRECTIONS:
                middle = x + (width - text_width(name)) / 2, y + (height - LINE) / 2 + 1
                canvas.text(*middle, name, label)
        return picture

    def draw(self, canvas: Canvas, x: int, y: int, held: set[str]) -> None:
        canvas.image(x, y, self._off, 0.85)
        for name in held & self.places.keys():
            left, top, width, height = self.places[name]
            canvas.image(x + left, y + top, self._on[top : top + height, left : left + width])


# -- variables ---------------------------------------------------------------------------------------------

MOST_LINES = 12


class Variables:
    """Names and values at the left top; `names` are those wanted, None is all."""

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self._names = names

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw them."""
        names = list(scene.values if self._names is None else self._names)
        lines = [(name, number_text(scene.values[name])) for name in names if name in scene.values]
        if not lines:
            return
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 1], (f"and {len(lines) - MOST_LINES + 1} more", "")]
        # Wide enough for seven digits, so that the panel does not tremble with the numbers.
        column = text_width("0" * max(7, *(len(value) for _, value in lines)))
        width = 2 * PAD + max(text_width(name + " ") for name, _ in lines) + column
        panel(canvas, MARGIN, MARGIN, width, 2 * PAD + LINE * len(lines))
        for row, (name, value) in enumerate(lines):
            y = MARGIN + PAD + row * LINE
            canvas.text(MARGIN + PAD, y, name, DIM)
            canvas.text(MARGIN + width - PAD - text_width(value), y, value, TEXT)


# -- the reward --------------------------------------------------------------------------------------------

REWARD_WIDTH, STRIP, REMEMBERED = 208, 40, 36_000


class Reward:
    """What each term of the reward has given so far, as numbers and bars, and the sum of the last ten seconds
    as a strip; at the right top.
    """

    def __init__(self) -> None:
        self._totals: History[tuple[float, ...]] = History(REMEMBERED)
        self._sums: History[float] = History(REMEMBERED)

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw it."""
        if scene.terms is None:
            return
        self._totals.back_to(scene.frame)
        before = self._totals.entries[-1] if self._totals.entries else (0.0,) * len(scene.terms)
        totals = tuple(old + new for old, new in zip(before, scene.terms.values(), strict=True))
        self._totals.put(scene.frame, totals)
        self._sums.put(scene.frame, sum(totals))
        sums = self._sums.last(round(10 * scene.frame_rate))
        rows = list(zip(scene.terms, totals, strict=True))
        x, y = canvas.width - MARGIN - REWARD_WIDTH, MARGIN
        inner = REWARD_WIDTH - 2 * PAD
        panel(canvas, x, y, REWARD_WIDTH, 3 * PAD + LINE * (1 + len(rows)) + STRIP)
        _pair(canvas, x + PAD, y + PAD, inner, "reward", f"{sums[-1]:+.6g}", TEXT)
        most = max((abs(total) for _, total in rows), default=0) or 1
        for row, (name, total) in enumerate(rows, 1):
            top = y + PAD + row * LINE
            canvas.filled(
                x + PAD, top + 3, inner * abs(total) / most, LINE - 6, GOOD if total > 0 else BAD, 0.35
            )
            _pair(canvas, x + PAD, top, inner, name, f"{total:+.6g}", DIM)
        strip = y + 2 * PAD + LINE * (1 + len(rows))
        canvas.plot(x + PAD, strip, inner, STRIP, sums, LIT)


def _pair(canvas: Canvas, x: float, y: float, width: float, name: str, value: str, colour: Colour) -> None:
    most = int((width - text_width(value)) // text_width("0")) - 1
    canvas.text(x, y, name if len(name) <= most else name[: most - 1] + "…", colour)
    canvas.text(x + width - text_width(value), y, value, TEXT)


# -- the actions' chances ----------------------------------------------------------------------------------

CHANCES_WIDTH, MOST_ACTIONS = 176, 12


class Probabilities:
    """The chance of each action as a bar, at the right bottom; the likeliest twelve where there are more."""

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw them."""
        if scene.probabilities is None:
            return
        chances = list(scene.probabilities)
        names = [*scene.action_names, *map(str, range(len(scene.action_names), len(chances)))]
        shown = sorted(sorted(range(len(chances)), key=lambda i: -chances[i])[:MOST_ACTIONS])
        likeliest = max(shown, key=lambda i: chances[i], default=0)
        height = 2 * PAD + LINE * len(shown)
        x, y = canvas.width - MARGIN - CHANCES_WIDTH, canvas.height - MARGIN - height
        inner = CHANCES_WIDTH - 2 * PAD
        panel(canvas, x, y, CHANCES_WIDTH, height)
        for row, action in enumerate(shown):
            top = y + PAD + row * LINE
            colour = LIT if action == likeliest else DIM
            canvas.filled(x + PAD, top + 3, inner * chances[action], LINE - 6, colour, 0.45)
            _pair(canvas, x + PAD, top, inner, names[action] or "-", f"{100 * chances[action]:.0f} %", DIM)
