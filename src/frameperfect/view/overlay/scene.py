"""What an overlay may look at: one frame of a run, and where the game's screen lies on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from frameperfect.view.overlay.canvas import Canvas

Number = TypeVar("Number", float, NDArray[np.float64])


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One frame of a run."""

    frame: int = 0
    """Frames since the run's start."""
    frame_rate: float = 60.0
    controllers: Sequence[Sequence[str]] = ()
    """The button names of each port that is shown, in the order of the mask's bits."""
    masks: Sequence[int] = ()
    """What is held at each port."""
    values: Mapping[str, int | float] = field(default_factory=dict)
    """Variables and definitions of the game, by name."""
    terms: Mapping[str, float] | None = None
    """What each term of the reward gave at the last step; None where the game pays none."""
    probabilities: Sequence[float] | None = None
    """Of the actions, before one was drawn; None where no agent plays."""
    action_names: Sequence[str] = ()
    caption: str = ""
    origin: tuple[float, float] = (0, 0)
    """Where the left top of the game's screen lies on the canvas."""
    factor: float = 1
    """Canvas pixels a pixel of the game's screen."""

    def at(self, x: Number, y: Number) -> tuple[Number, Number]:
        """The place on the canvas of a place on the game's screen (the middle of that pixel)."""
        return self.origin[0] + (x + 0.5) * self.factor, self.origin[1] + (y + 0.5) * self.factor

    def held(self, port: int = 0) -> set[str]:
        """The names of the buttons held at `port`."""
        if port >= len(self.controllers) or port >= len(self.masks):
            return set()
        return {name for bit, name in enumerate(self.controllers[port]) if self.masks[port] >> bit & 1}


Overlay: TypeAlias = Callable[[Canvas, Scene], None]
"""Draws what it knows of a scene; several are applied in order. One may remember earlier scenes."""
