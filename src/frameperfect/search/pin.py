"""A known movie to begin in, or to keep near: its values at every frame, and which states have strayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.game.search_section import SearchPin
from frameperfect.movie import Movie

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.search.problem import Problem


def pin_texts(pin: SearchPin | None) -> dict[str, str]:
    """The pinned expressions by the name of their formula."""
    return {} if pin is None else {f"pin '{text}'": text for text in pin.values}


def play_lead(movie: Movie, machine: Machine, frames: int) -> None:
    """Play the first `frames` frames of a movie from its start.

    Raises:
        Desync: memory is not the recorded one.
    """
    _fitting(movie, machine).cut(frames).check(machine)


def _fitting(movie: Movie, machine: Machine) -> Movie:
    """The movie, without its checkpoints where they are another core's, which say nothing here."""
    if movie.fingerprint == str(machine.fingerprint):
        return movie
    return replace(movie, checkpoints=[], values={})


@dataclass(frozen=True)
class Pinned:
    """The movie's values from the frame on at which the search begins."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    """(T, V): at every frame that is pinned, of every pinned expression; T is 0 where nothing is."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """(V,) how far a state may be below and above."""
    slack: int

    @staticmethod
    def along(movie: Movie, machine: Machine, problem: Problem) -> Pinned | None:
        """Play the movie on, from where the search begins; None where nothing is kept near it.

        `prev.x` and `delta(x)` look back as far as the search's steps do.
        """
        pin = problem.section.pin
        if pin is None or not pin.values:
            return None
        names = tuple(pin_texts(pin))
        last = min(pin.until or movie.frames, movie.frames)
        values, known = problem.formulas.begin(problem.root_row[None])
        table, knowns = [[float(values[name][0]) for name in names]], [known]
        held = problem.section.frames
        for done in _fitting(movie, machine).replay(machine):
            if done > last:
                break
            frame = done - problem.lead_frames
            if frame > 0:
                before = knowns[max(0, frame - held)]
                values, known = problem.formulas.step(problem.row(machine)[None], before, frame // held)
                knowns.append(known)
                table.append([float(values[name][0]) for name in names])
        bounds = [b if isinstance(b, list) else [-b, b] for b in pin.values.values()]
        low, high = np.array(bounds, np.float64).T
        return Pinned(names, np.array(table), low, high, pin.slack)

    def holds(self, step: int, frames: int) -> bool:
        """Whether states after so many inputs of `frames` frames are pinned."""
        return step * frames < len(self.values)

    def strayed(
        self, values: Mapping[str, NDArray[Any]], step: int | NDArray[np.int64], frames: int
    ) -> NDArray[np.bool_]:
        """Which of N states, after `step` inputs, are not near the movie at any moment within the slack."""
        here = np.stack([values[name].astype(np.float64) for name in self.names], axis=1)
        at = np.broadcast_to(np.asarray(step, np.int64) * frames, len(here))
        near = at >= len(self.values)  # the movie is over: all is free
        last = len(self.values) - 1
        for shift in range(-self.slack, self.slack + 1):
            off = here - self.values[np.clip(at + shift, 0, last)]
            near = near | ((off >= self.low) & (off <= self.high)).all(axis=1)
        return ~near
