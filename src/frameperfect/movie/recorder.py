"""Plays a machine and keeps what was pressed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frameperfect.machine import Inputs, Machine
from frameperfect.movie.movie import CHECKPOINT_EVERY, Movie
from frameperfect.movie.tape import Tape


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of the machine together with the run that led to it."""

    state: bytes
    tape: Tape


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
        self._tape = Tape()

    @property
    def frames(self) -> int:
        """Frames recorded so far."""
        return self._tape.frames

    def advance(self, inputs: Inputs = None, frames: int = 1) -> None:
        """As `Machine.advance`, recorded."""
        masks, analog = self.machine.parse_inputs(inputs)
        row = analog or masks
        while frames > 0:
            now = min(frames, CHECKPOINT_EVERY - self.frames % CHECKPOINT_EVERY)
            self.machine.advance(row, now)
            self._tape.append(row, now)
            frames -= now
            if self.frames % CHECKPOINT_EVERY == 0:
                self._tape.check_here(self.machine, self.frames)

    def press_reset(self) -> None:
        """Press the console's reset button before the next frame."""
        self.machine.press_reset()
        before = self._tape.commands.get(self.frames)
        self._tape.commands[self.frames] = f"{before} reset" if before else "reset"

    def power_cycle(self) -> None:
        """Switch the console off and on before the next frame."""
        self.machine.reset()
        self._tape.commands[self.frames] = "power"  # nothing that was pressed before survives it

    def save(self) -> Mark:
        """The machine and the run so far, to record from here again."""
        return Mark(self.machine.save(), self._tape.copy())

    def restore(self, mark: Mark) -> None:
        """Go back to `mark` and record anew from there; counts as a rerecord."""
        self.machine.restore(mark.state)
        self._tape = mark.tape.copy()
        self.rerecords += 1

    def movie(self) -> Movie:
        """The run so far, its last frame checked."""
        if self.frames and self.frames not in self._tape.checkpoints:
            self._tape.check_here(self.machine, self.frames)
        controllers = self.machine.controllers
        head = Movie(
            game=self.game,
            controllers=controllers,
            inputs=np.zeros((0, len(controllers)), np.uint32),
            start=self._start,
            author=self.author,
            rerecords=self.rerecords,
        )
        movie = self._tape.write(head, controllers)
        movie._take_identity(self.machine)
        return movie
