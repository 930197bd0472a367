"""One moment, many futures: what memory does after different inputs, frame by frame.

A savestate makes every question about memory an experiment. All branches begin at the same state, so whatever
differs between two of them was caused by what was pressed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.errors import RamError
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Variable
from frameperfect.value_type import ValueType

if TYPE_CHECKING:
    from frameperfect.machine import Machine

Script = Sequence[tuple[str, int]]
"""What a branch does: (buttons held on port 0, for so many frames), one after the other."""

MENU_BUTTONS = frozenset({"Start", "Select", "Mode", "Reset", "Pause", "Coin", "Run"})
"""Buttons that stop the game or leave it: no experiment presses them unless it is asked to."""
OPPOSITE = {"Left": "Right", "Right": "Left", "Up": "Down", "Down": "Up"}


@dataclass(frozen=True)
class Recording:
    """What every branch did to those bytes of a domain that changed in any of them.

    Attributes:
        domain: the domain that was recorded.
        places: (K,) offsets of the bytes, ascending.
        frames: by branch, (frames + 1, K) uint8; row 0 is the moment they begin at.
    """

    domain: Domain
    places: NDArray[np.intp]
    frames: tuple[NDArray[np.uint8], ...]

    def offsets(self, type: str) -> NDArray[np.intp]:
        """The offsets at which a value of this type lies all of whose bytes changed in some branch."""
        width = ValueType.parse(type).width
        return self.places[self._columns(width)]

    def values(self, type: str) -> list[NDArray[Any]]:
        """By branch, (frames + 1, len(offsets)): the values of this type, as int64 or float64."""
        width = ValueType.parse(type).width
        columns = self._columns(width)
        layout = Layout({"v": Variable("v", 0, type, self.domain.name)}, {self.domain.name: self.domain})
        found = []
        for rows in self.frames:
            parts = rows[:, columns[:, None] + np.arange(width)]
            with np.errstate(invalid="ignore"):  # bytes that are no number as a float
                values = layout.decode(np.ascontiguousarray(parts.reshape(-1, width)))["v"]
            found.append(values.reshape(len(rows), len(columns)))
        return found

    def _columns(self, width: int) -> NDArray[np.intp]:
        """Where `width` recorded bytes lie side by side."""
        count = max(0, len(self.places) - width + 1)
        return np.flatnonzero(self.places[width - 1 :] - self.places[:count] == width - 1)


def record(machine: Machine, domain: Domain, branches: Iterable[tuple[bytes, Script]]) -> Recording:
    """Play each branch from its state and record the domain after every frame.

    Only what differs from the first branch's beginning is kept, so that a large domain costs little.
    """
    now = np.empty(domain.size, np.uint8)

    def take() -> NDArray[np.uint8]:
        _native.take_memory(machine.memory[domain.name], domain.swap, now)
        return now

    base: NDArray[np.uint8] | None = None
    sparse: list[list[tuple[NDArray[np.intp], NDArray[np.uint8]]]] = []
    live = np.zeros(domain.size, bool)
    for state, script in branches:
        machine.restore(state)
        if base is None:
            base = take().copy()
        rows = []
        for step, (buttons, frames) in enumerate([("", 0), *script]):
            mask = machine.controllers[0].mask(buttons)
            for _ in range(frames if step else 1):
                if step:
                    machine.advance(mask)
                places = np.flatnonzero(take() != base)
                live[places] = True
                rows.append((places, now[places]))
        sparse.append(rows)
    if base is None:
        raise RamError("an experiment needs at least one branch")
    places = np.flatnonzero(live)
    dense = []
    for rows in sparse:
        block = np.tile(base[places], (len(rows), 1))
        for row, (changed, values) in zip(block, rows, strict=True):
            row[np.searchsorted(places, changed)] = values
        dense.append(block)
    return Recording(domain, places, tuple(dense))


def playable_buttons(machine: Machine) -> tuple[str, ...]:
    """The buttons of port 0 that play the game, not its menus."""
    return tuple(button for button in machine.controllers[0].buttons if button not in MENU_BUTTONS)


def random_script(machine: Machine, frames: int, seed: int) -> list[tuple[str, int]]:
    """Inputs of someone who plays at random: a direction or none, a button or none, held for a while."""
    chance = random.Random(seed)
    buttons = playable_buttons(machine)
    directions = ["", *(b for b in buttons if b in OPPOSITE)]
    actions = ["", *(b for b in buttons if b not in OPPOSITE)]
    script, left = [], frames
    while left > 0:
        held = min(left, chance.choice((2, 4, 8, 16, 30)))
        script.append((f"{chance.choice(directions)} {chance.choice(actions)}".strip(), held))
        left -= held
    return script
