"""What is pressed at every frame while a run is made, and the memory hashes that it led to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frameperfect.machine import Controller, Machine, PortInput
from frameperfect.movie.movie import Movie, read_all, remap

Row: TypeAlias = "tuple[int, ...] | tuple[PortInput, ...]"
"""One frame: the mask of every port, or where something is analog, its whole input."""


@dataclass(slots=True)
class Tape:
    """A run that can still be cut and grow; `write` makes a movie of it."""

    rows: list[Row] = field(default_factory=list)
    commands: dict[int, str] = field(default_factory=dict)
    checkpoints: dict[int, str] = field(default_factory=dict)
    values: dict[int, dict[str, int | float]] = field(default_factory=dict)

    @classmethod
    def of(cls, movie: Movie, controllers: tuple[Controller, ...]) -> Tape:
        """The run of `movie` by the buttons of `controllers`; raises as `remap` does."""
        ports = len(controllers)
        pressed = remap(movie.inputs, movie.controllers, controllers)
        pressed = np.pad(pressed, ((0, 0), (0, ports - pressed.shape[1])))
        tape = cls([], dict(movie.commands), dict(movie.checkpoints), dict(movie.values))
        analog = [rows is not None for rows in (movie.axes, movie.pointers)]
        for frame, row in enumerate(pressed.tolist()):
            tape.append(_analog_row(movie, frame, row) if any(analog) else tuple(row))
        return tape

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.rows)

    def append(self, row: Row, frames: int = 1) -> None:
        """Add frames that hold `row`; equal neighbours share one object, so that an hour takes few bytes."""
        if self.rows and self.rows[-1] == row:
            row = self.rows[-1]
        self.rows.extend([row] * frames)

    def check_here(self, machine: Machine, frame: int) -> None:
        """Make `frame`, where `machine` stands, a checkpoint."""
        self.checkpoints[frame] = machine.hash()
        if machine.variables:
            self.values[frame] = read_all(machine)

    def cut(self, frames: int) -> None:
        """Forget all that comes after `frames` frames."""
        del self.rows[frames:]
        self.commands = {frame: text for frame, text in self.commands.items() if frame < frames}
        self.checkpoints = {frame: text for frame, text in self.checkpoints.items() if frame <= frames}
        self.values = {frame: values for frame, values in self.values.items() if frame <= frames}

    def copy(self) -> Tape:
        """One that changes by itself."""
        return Tape(self.rows.copy(), self.commands.copy(), self.checkpoints.copy(), self.values.copy())

    def same_until(self, other: Tape) -> int:
        """How many frames both begin with alike."""
        both = min(self.frames, other.frames)
        same = both if self.rows[:both] == other.rows[:both] else -1
        if same < 0:
            pairs = zip(self.rows, other.rows, strict=False)
            same = next(frame for frame, (one, another) in enumerate(pairs) if one != another)
        commands = self.commands.keys() | other.commands.keys()
        differ = (frame for frame in commands if self.commands.get(frame) != other.commands.get(frame))
        return min(same, *differ, both)

    def write(self, frame_of: Movie, controllers: tuple[Controller, ...]) -> Movie:
        """The run as a movie that starts as `frame_of` does and says of itself what that says."""
        return replace(
            frame_of,
            controllers=controllers,
            inputs=self._inputs(len(controllers)),
            axes=self._axes(len(controllers)),
            pointers=self._pointers(len(controllers)),
            commands={frame: text for frame, text in self.commands.items() if frame < self.frames},
            checkpoints=sorted(self.checkpoints.items()),
            values=dict(self.values),
        )

    def _runs(self) -> Iterator[tuple[slice, Row]]:
        """Where the same row lies, and the row. `append` shares it, so that nothing has to be compared."""
        rows = self.rows
        starts = [at for at in range(len(rows)) if not at or rows[at] is not rows[at - 1]]
        for first, after in pairwise([*starts, len(rows)]):
            yield slice(first, after), rows[first]

    def _inputs(self, ports: int) -> NDArray[np.uint32]:
        out = np.zeros((self.frames, ports), np.uint32)
        for frames, row in self._runs():
            pressed = masks(row)  # of the first ports; those after them press nothing
            out[frames, : len(pressed)] = pressed
        return out

    def _axes(self, ports: int) -> NDArray[np.int16] | None:
        analog = [
            (frames, port, one.axes)
            for frames, row in self._runs()
            for port, one in enumerate(row)
            if isinstance(one, PortInput) and one.axes
        ]
        if not analog:
            return None
        out = np.zeros((self.frames, ports, max(len(axes) for _, _, axes in analog)), np.int16)
        for frames, port, axes in analog:
            out[frames, port, : len(axes)] = axes
        return out

    def _pointers(self, ports: int) -> NDArray[np.int16] | None:
        out = np.zeros((self.frames, ports, 3), np.int16)
        for frames, row in self._runs():
            for port, one in enumerate(row):
                if isinstance(one, PortInput) and one.pointer is not None:
                    out[frames, port] = one.pointer
        return out if out.any() else None


def masks(row: Row) -> tuple[int, ...]:
    """The masks by port, without what is analog."""
    return tuple(one.buttons if isinstance(one, PortInput) else one for one in row)


def _analog_row(movie: Movie, frame: int, pressed: list[int]) -> tuple[PortInput, ...]:
    axes, pointers = movie.axes, movie.pointers
    there = range(len(movie.controllers))
    return tuple(
        PortInput(
            mask,
            tuple(axes[frame, port].tolist()) if axes is not None and port in there else (),
            tuple(pointers[frame, port].tolist()) if pointers is not None and port in there else None,
        )
        for port, mask in enumerate(pressed)
    )
