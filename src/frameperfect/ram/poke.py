"""Write and see: does the game keep a value, and does the picture show it?

What the game itself reads stays as written and shows on the screen. A copy that the game makes for the video
chip is overwritten at the next frame; a byte that nobody reads stays and shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frameperfect.errors import GameError
from frameperfect.machine import Capability

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.memory import Variable


@dataclass(frozen=True, slots=True)
class Poke:
    """What came of writing `written` where there was `was`, against the same frames without it."""

    was: int | float
    written: int | float
    kept: bool
    """After the frames the value still differed from the run without it by what was written, about."""
    screen: float
    """The part of the picture's pixels that differed, 0 to 1; 0 where the machine has no screen."""

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.kept:
            return "overwritten by the game"
        return "kept and shown" if self.screen > 0 else "kept, not shown"


def poke(
    machine: Machine, state: bytes, variable: Variable, value: int | float, frames: int = 3, buttons: str = ""
) -> Poke | None:
    """Write `value` at `state`, play `frames`, and compare with the same frames without it.

    The machine is left at `state`. None where the value can't be written, or is there already.
    """
    machine.restore(state)
    was = variable.read(machine)
    if value == was:
        return None
    control_screen, control = _play(machine, variable, frames, buttons)
    machine.restore(state)
    try:
        variable.write(machine, value)
    except GameError:  # it does not fit the type: nothing to learn here
        return None
    screen, after = _play(machine, variable, frames, buttons)
    machine.restore(state)
    same_size = screen.shape == control_screen.shape
    differing = float(np.mean((screen != control_screen).any(axis=-1))) if same_size else 1.0
    kept = abs((after - control) - (value - was)) <= abs(value - was) / 2
    return Poke(was, value, kept, differing)


def _play(
    machine: Machine, variable: Variable, frames: int, buttons: str
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], int | float]:
    machine.advance(buttons, frames)
    shown = Capability.SCREEN in machine.capabilities
    screen = machine.screen() if shown else np.zeros((1, 1, 3), np.uint8)
    return screen, variable.read(machine)
