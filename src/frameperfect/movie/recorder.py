"""Plays a machine and keeps what was pressed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frameperfect.machine import Inputs, Machine
from frameperfect.movie.movie import CHECKPOINT_EVERY, Movie, read_all


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of the machine together with the run that led to it."""

    state: bytes
    history: _History


@dataclass(slots=True)
class _History:
    rows: list[tuple[tuple[int, ...], tuple[tuple[int, ...], ...], tuple[tuple[int, int, int] | None, ...]]]
    commands: dict[int, str]
    checkpoints: list[tuple[int, str]]
    values: dict[int, dict[str, int | float]]

    def copy(self) -> _History:
        return _History(self.rows.copy(), self.commands.copy(), self.checkpoints.copy(), self.values.copy())


class Recorder:
    """Advances `machine` and keeps the inputs, the commands, and a checkpoint every 60 frames.

    The machine must stand at `start`: the name of a start of its game, or without one, power-on where
    `machine.frame` is 0 and otherwise this very state. Advance it through the recorder only.
    """

    def __init__(
        self, machine: Machine, *, start: str | None = None, game: str = "", author: str = ""
    ) -> None:
        self.machine = machine
        self.author = author
        self.game = game
        self.rerecords = 0
        self._start: str | bytes | None = start if start is not None or machine.frame == 0 else machine.save()
        self._history = _History([], {}, [], {})

    @property
    def frames(self) -> int:
        """Frames recorded so far."""
        return len(self._history.rows)

    def advance(self, inputs: Inputs = None, frames: int = 1) -> None:
        """As `Machine.advance`, recorded."""
        masks, analog = self.machine.parse_inputs(inputs)
        axes = tuple(port.axes for port in analog) if analog else ()
        pointers = tuple(port.pointer for port in analog) if analog else ()
        while frames > 0:
            now = min(frames, CHECKPOINT_EVERY - self.frames % CHECKPOINT_EVERY)
            self.machine.advance(analog if analog else masks, now)
            self._history.rows.extend([(masks, axes, pointers)] * now)
            frames -= now
            if self.frames % CHECKPOINT_EVERY == 0:
                self._checkpoint()

    def press_reset(self) -> None:
        """Press the console's reset button before the next frame."""
        self.machine.press_reset()
        before = self._history.commands.get(self.frames)
        self._history.commands[self.frames] = f"{before} reset" if before else "reset"

    def power_cycle(self) -> None:
        """Switch the console off and on before the next frame."""
        self.machine.reset()
        self._history.commands[self.frames] = "power"  # nothing that was pressed before survives it

    def save(self) -> Mark:
        """The machine and the run so far, to record from here again."""
        return Mark(self.machine.save(), self._history.copy())

    def restore(self, mark: Mark) -> None:
        """Go back to `mark` and record anew from there; counts as a rerecord."""
        self.machine.restore(mark.state)
        self._history = mark.history.copy()
        self.rerecords += 1

    def movie(self) -> Movie:
        """The run so far, its last frame checked."""
        if self.frames and (not self._history.checkpoints or self._history.checkpoints[-1][0] != self.frames):
            self._checkpoint()
        history = self._history
        movie = Movie(
            game=self.game,
            controllers=self.machine.controllers,
            inputs=self._inputs(),
            axes=self._axes(),
            pointers=self._pointers(),
            commands={frame: text for frame, text in history.commands.items() if frame < self.frames},
            start=self._start,
            checkpoints=history.checkpoints.copy(),
            values=history.values.copy(),
            author=self.author,
            rerecords=self.rerecords,
        )
        movie._take_identity(self.machine)
        return movie

    def _checkpoint(self) -> None:
        self._history.checkpoints.append((self.frames, self.machine.hash()))
        if self.machine.variables:
            self._history.values[self.frames] = read_all(self.machine)

    def _inputs(self) -> NDArray[np.uint32]:
        out = np.zeros((self.frames, len(self.machine.controllers)), np.uint32)
        for frame, (masks, _, _) in enumerate(self._history.rows):
            out[frame, : len(masks)] = masks
        return out

    def _axes(self) -> NDArray[np.int16] | None:
        width = max((len(port) for _, axes, _ in self._history.rows for port in axes), default=0)
        if not width:
            return None
        out = np.zeros((self.frames, len(self.machine.controllers), width), np.int16)
        for frame, (_, axes, _) in enumerate(self._history.rows):
            for port, values in enumerate(axes):
                out[frame, port, : len(values)] = values
        return out

    def _pointers(self) -> NDArray[np.int16] | None:
        if all(pointer is None for _, _, pointers in self._history.rows for pointer in pointers):
            return None
        out = np.zeros((self.frames, len(self.machine.controllers), 3), np.int16)
        for frame, (_, _, pointers) in enumerate(self._history.rows):
            for port, pointer in enumerate(pointers):
                if pointer is not None:
                    out[frame, port] = pointer
        return out
