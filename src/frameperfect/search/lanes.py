"""Runs played side by side, a step at a time, without ranking or dropping any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.expand import Ids
from frameperfect.game.formulas import Known
from frameperfect.search.generations import Wave
from frameperfect.search.problem import Problem, Verdicts

History = tuple[Any, int] | None
"""Inputs from the start, newest first: (those before, the last). Runs share their beginnings."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """N states just reached, held; with their rows and the formulas' values."""

    wave: Wave
    rows: NDArray[np.uint8]
    values: dict[str, NDArray[Any]]
    pictures: NDArray[np.uint8] | None = None
    """Of the screens, where the expander watches."""


def start(problem: Problem) -> Lanes:
    """One lane, at the problem's start."""
    verdicts, known, values = problem.begin()
    state = np.array([problem.root], np.uint32)
    problem.expander.store.hold(state)
    return Lanes(lanes_of(state, known, verdicts), problem.root_row[None], values)


def step(
    problem: Problem, wave: Wave, actions: NDArray[np.uint32], numbers: int | NDArray[np.int64]
) -> Lanes:
    """Every lane holds its action; `numbers` are the steps', from 1. The old states stay held."""
    frames = np.full(len(actions), problem.section.frames, np.uint32)
    found = problem.expander.expand(wave.states, problem.masks[actions], frames)
    values, known = problem.formulas.step(found.rows, wave.known, numbers)
    verdicts = problem.judge(values, wave.verdicts.passed, wave.verdicts.fired, numbers)
    return Lanes(lanes_of(found.states, known, verdicts), found.rows, values, found.pictures)


def walk(problem: Problem, path: Sequence[int]) -> Iterator[Lanes]:
    """Play a path from the start, in one lane; yields each moment, the start first, held until the next."""
    here = start(problem)
    try:
        yield here
        for number, action in enumerate(path, 1):
            found = step(problem, here.wave, np.array([action], np.uint32), number)
            problem.expander.store.release(here.wave.states)
            here = found
            yield here
    finally:
        problem.expander.store.release(here.wave.states)


def lanes_of(states: Ids, known: Known, verdicts: Verdicts) -> Wave:
    """A wave of these states that is in no trie."""
    none = np.zeros(len(states), np.uint32)
    return Wave(states, none, none, none.astype(np.uint64), known, verdicts)


def path_of(history: History) -> NDArray[np.uint32]:
    """The actions of a history, oldest first."""
    actions = []
    while history is not None:
        history, action = history
        actions.append(action)
    return np.array(actions[::-1], np.uint32)
